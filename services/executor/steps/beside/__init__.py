"""What is derived of a table beside its publish: from the rows that it is about to hold, and published in the same transaction."""
