"""The sample tenant at Azure: exports of FOCUS 1.2-preview in a storage account, for this month and the last one, and who may read them."""
