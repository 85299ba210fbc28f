"""Which versions of the KMS key encrypted the stored credentials, and the job that moves them to the primary one.

A new primary version leaves what older ones encrypted readable. The job (`python -m services.credentials.reencrypt`) runs under an account
of its own, the only one that may both decrypt and encrypt. It keeps nothing between runs: what is left is what the table says.
"""
