"""What all four services share. Imports no service.

A call enters through `server` (mTLS, health, reflection) and passes three interceptors in this order:
    1. `rpc.report`       gives the call a request id and turns every exception into a gRPC status
    2. `access.control`   authenticates the caller and applies the access rule of the proto
    3. `rpc.body_fields`, `rpc.query_fields`, `rpc.validation`   check the request's fields
Then the servicer runs. Outgoing calls go to BigQuery through `bigquery` (the only caller of Google's client), to KMS through `kms` and to
the other services through `rpc.peers`. All three raise the errors of `errors`, so an error of a peer reaches the first caller unchanged.
`group_commit` and `cache` keep the number of statements small.
"""
