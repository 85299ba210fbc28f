"""What carries a call out: requests, metadata, retries, pages, streams and errors. Knows no resource and no profile."""
