"""Staging tables: their columns (`shape`), the casts into them (`casting`), and the tables of each run (`tables`)."""
