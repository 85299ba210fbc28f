"""One module a proto service: proto in, domain call, proto out."""
