"""Where a run's data comes from: the tenant's credentials, and the clouds that they open."""
