"""The database behind the emulator: a DuckDB file for each project, and what is noted of every change of one."""
