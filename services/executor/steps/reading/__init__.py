"""What the steps that read a tenant's source share."""
