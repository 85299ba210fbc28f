"""Orchestrators that a user would pick instead, beside the suite on the same machine, in one run of the program.

They do the same data work in plain DuckDB (`work.py`): no BigQuery, tenants, quota, KMS, gateway or authentication. `make bench-peers`
puts them into a virtual environment of their own (`requirements.txt`). In it run `work.py`, `prefect_flow.py` and `dagster_job.py`, which
import nothing of ours.
"""
