"""Turns rows of an export into rows of its staging table."""
