"""Attacks on every public RPC, made from the descriptors: an RPC that is added is attacked without being listed."""

import os

GENERATED = int(os.environ.get("ATTACKS", "0"))
"""How many requests are generated, of bytes and of the OpenAPI document together. 0, as in `make test`: a few for each RPC."""
THOROUGH = GENERATED > 0
"""All combinations are tried, as in `make attacks`; else of each of those that are many, some for each RPC."""
