"""The Python client of Convergence: typed calls over gRPC, with retries, pages as iteration, and errors as classes."""
