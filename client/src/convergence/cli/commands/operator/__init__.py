"""What an operator does, with an admin key."""
