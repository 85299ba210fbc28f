"""What surrounds an RPC: the chain of interceptors (`calls`), the access rules in the protos (`rules`), the checks of a request's fields
(`validation`, `body_fields`, `query_fields`), encodings that servicers share (`paging`, `structs`), and channels to peers (`peers`).
"""
