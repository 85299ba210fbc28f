"""The sample tenant at AWS: an export of FOCUS 1.2 with AWS columns in S3, for this month and the last one, and who may read it."""
