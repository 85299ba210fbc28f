"""One module a proto service: proto in, domain call, proto out. `to_proto` encodes what they share."""
