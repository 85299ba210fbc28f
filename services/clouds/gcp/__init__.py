"""A tenant's access to Google Cloud."""
