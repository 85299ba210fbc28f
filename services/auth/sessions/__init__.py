"""Session tokens for browsers: what they say, and how auth signs and reads them (`tokens`)."""
