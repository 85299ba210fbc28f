"""One module a proto service: decode, call the domain, encode."""
