"""Takes tenants' cloud credentials and never gives them back.

What a tenant sends is checked field by field (`payloads`), rebuilt from the fields we know, sealed by KMS under a name that only this
tenant's row has, and stored; this service may only encrypt. `set_credentials` is the list of steps: look up, look at the tenant's dataset,
seal, make the dataset with the executor's rights in it, and its metadata tables, write the credential, write the audit row. Sealing comes
before every write, and the credential comes after the dataset, so a call that breaks off leaves nothing sealed by halves, and a tenant with
credentials has a place for its runs. Whatever is missing after a broken call, the next one makes.
The executor fetches the sealed blob over a service of its own and opens it with a KMS role of its own.
"""
