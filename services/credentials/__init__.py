"""Stores tenants' cloud credentials, encrypted; no RPC returns them in the clear.

`payloads` checks what a tenant sends, field by field, and rebuilds it from the known fields. KMS encrypts it with associated data that only
this tenant's row has; this service may encrypt only. `set_credentials` is the list of steps: look up, check the tenant's dataset, encrypt,
create the dataset with the executor's rights and its metadata tables, write the credential, write the audit row. Encryption comes before
every write, so a call that breaks off leaves no half-written secret. The dataset comes before the credential, so a tenant with credentials
has a dataset for its runs. The next call completes what a broken one left out. The executor fetches the ciphertext from a proto service of
its own and decrypts it with its own KMS role.

On request (`validate`), the plaintext is tried in the tenant's cloud before all that. Later checks are the executor's, which can decrypt;
what they find is kept here (`access_checks`).
"""
