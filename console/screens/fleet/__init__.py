"""Fleet: whether the installation itself is well."""
