"""The local BigQuery: `local-bigquery` from PyPI, changed in three ways: it starts without a network, behaves like BigQuery where our
pipelines depend on it, and uses little CPU.
"""
