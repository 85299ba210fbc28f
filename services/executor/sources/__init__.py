"""Where a run's data comes from: the tenant's credentials, and the sources that they open. A cloud is a folder: see `source`."""
