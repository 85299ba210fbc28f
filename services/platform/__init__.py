"""What every service stands on. Imports no service.

A call comes in through `server` (mTLS, health, reflection) and passes three steps, in this order: `rpc.calls` gives it a request id and
turns whatever is raised into a status, `access.control` proves who calls against the rule in the proto, `rpc.validation` looks at the
fields. Only then a servicer sees it. On its way out a service speaks to BigQuery through `bigquery` (the only caller of its client), to KMS
through `kms` and to its peers through `rpc.peers`; all three raise the errors of `errors`, and so a peer's refusal reaches the first caller
unchanged. `group_commit` and `cache` keep the number of statements small.
"""
