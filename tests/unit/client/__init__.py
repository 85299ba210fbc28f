"""The Python client against a gRPC server in the same process that answers as scripted."""
