"""`make demo`: runs flows 1, 2 and 3 against a stack of its own, and describes each call."""
