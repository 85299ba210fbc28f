"""A tenant's access to Azure."""
