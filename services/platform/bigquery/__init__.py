"""BigQuery, as every service speaks to it: `client` sends statements (the named blocks of `sql`, whose values `query_parameters` types) as
`jobs`, within `deadlines` and the rate that `dml_rate_limiter` allows; `append` streams rows; `ddl` and `tenant_tables` make tables; and
`transient` says which of its errors are worth another try.
"""
