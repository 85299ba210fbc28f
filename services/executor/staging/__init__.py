"""Staging tables: their columns (`shape`), casts into them (`casting`), and the tables of each run (`tables`)."""
