"""What surrounds an RPC: the chain of interceptors (`calls`), the outermost of them (`report`), the access rules in the protos (`rules`),
the checks of a request's fields (`validation`, `body_fields`, `query_fields`), pages (`paging`, and `page_tokens` as callers see them),
`structs` in Python, and channels to peers (`peers`).
"""
