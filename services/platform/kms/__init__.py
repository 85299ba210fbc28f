"""Cloud KMS: the client, and the associated data that credentials are encrypted with."""
