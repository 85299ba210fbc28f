"""Azure as a source: Cost Management exports in a storage account of the tenant."""
