"""A tenant's access to AWS."""
