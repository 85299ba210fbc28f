"""Where a run's data comes from: the tenant's credentials, and the sources they open. Each cloud is a folder, see `source`."""
