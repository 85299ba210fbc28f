"""Analyzes every GoogleSQL statement of ours with Google's own analyzer, against our own DDL (`python -m tools.check_sql`).

The emulator is lenient: SQL that runs on it may still be refused by BigQuery. SQL that passes this check has correct types against the
current tables. BigQuery may refuse it for other reasons (quotas, permissions), which no analyzer can know.
"""
