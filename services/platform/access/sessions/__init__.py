"""Session tokens: their holders (`session`), and the cache of those that are shown to this process (`cache`)."""
