"""What `make demo` does and says: flows 1, 2 and 3 against a stack of its own."""
