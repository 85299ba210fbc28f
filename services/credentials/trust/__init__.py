"""What a tenant sets up in its cloud so that it trusts our identity tokens about this tenant alone. Pure: one module a cloud."""
