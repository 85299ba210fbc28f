"""Authentication and authorization: `control` authenticates the caller of every RPC by API key, admin key or certificate; `caller` holds
the authenticated caller while the RPC runs.
"""
