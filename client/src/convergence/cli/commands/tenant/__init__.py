"""What a tenant does, with its API key."""
