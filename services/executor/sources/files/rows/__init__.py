"""Rows of data files become rows of a staging table: by name, with the staging column's types, nothing lost. Pure."""
