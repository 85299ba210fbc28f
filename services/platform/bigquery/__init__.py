"""BigQuery: `client` sends statements (named blocks of `sql`, with values typed by `query_parameters`) as `jobs`, within `deadlines` and
the rate that `dml_rate_limiter` allows, in the order of `dml_turns`. `append` streams rows. `ddl` and `tenant_tables` create tables.
`transient` lists the errors that are retried.
"""
