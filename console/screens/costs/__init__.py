"""Costs: what the tenant's clouds cost by day or month, how settled that is, and what has moved since a date."""
