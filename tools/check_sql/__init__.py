"""Analyzes every GoogleSQL statement of ours with Google's own analyzer, against our own DDL (`python -m tools.check_sql`).

The emulator is lenient, so what runs on it may still be refused by BigQuery; what passes here is at least typed right against the tables
as they are. Necessary, not sufficient: what BigQuery refuses for other reasons (quotas, permissions) no analyzer knows.
"""
