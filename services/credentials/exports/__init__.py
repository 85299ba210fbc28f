"""Exports the tables of an offboarded tenant's dataset to a bucket: `plan` decides, `process` does."""
