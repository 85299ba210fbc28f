"""Orchestrators that a user would pick instead, beside the suite on the same machine, in one run of the program.

They do the same data work in plain DuckDB (`work.py`): no BigQuery, tenants, quota, KMS, gateway or authentication. `make bench-peers`
puts them into a virtual environment of their own (`requirements.txt`), in which `work.py`, `prefect_flow.py` and `dagster_job.py` run; these
import nothing of ours.
"""
