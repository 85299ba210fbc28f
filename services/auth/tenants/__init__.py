"""The life of a tenant: provisioned, changed, suspended and resumed, offboarded. docs/tenants.md describes it for operators.

A tenant is a row of `tenant_profiles` and one of `tenant_subscriptions`. OFFBOARDED is final: no statement that
changes a tenant changes such a row, and the statement's own answer shows it, so nothing can happen between the check and the change.
"""
