"""One module a proto service: decode, call the domain, encode. `to_proto` holds the encodings that they share."""
