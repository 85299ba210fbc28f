"""What the suite costs: BigQuery jobs, statements on each shared table, and time as a ratio to a bare statement of the same run.

`make bench` writes the table to `benchmarks/RESULTS.md`. Counts come from the services' own metrics.
"""
