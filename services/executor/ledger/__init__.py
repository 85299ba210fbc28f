"""The ledger of days: what is published of a tenant's sources on each UTC day, how final it is, and how far each source has been read.

It is written by publishing transactions (`steps.publish_script`), so it never says anything but what is published.
"""
