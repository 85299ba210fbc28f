"""The emulator's database: a DuckDB file for each project, and the record of every change."""
