"""What surrounds an RPC: the chain of interceptors (`calls`), the rules that protos carry (`rules`), the checks of a request's fields, the
encodings that servicers share, and channels to peers (`peers`).
"""
