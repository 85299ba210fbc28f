"""Leaves a large export to BigQuery: a query of the tenant's own flattens its rows into a table of the tenant's, which is then copied."""
