"""Checks what tenants' stored credentials may do in their clouds: one when a tenant asks, all of them at night."""
