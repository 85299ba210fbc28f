"""The ledger of days: what is published of a tenant's sources on each UTC day, how final it is, and how far each source has been read.

Publishing transactions write it (`steps.publish_script`), so it always agrees with what is published.
"""
