"""Writes `gen/convergence/api/`: the classes of the Python client, typed from the protos, after client/methods.toml."""
