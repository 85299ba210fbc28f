"""Who calls, and what they may do: `control` proves the caller of every RPC, by API key, admin key or certificate; `caller` holds who it
is while the RPC runs.
"""
