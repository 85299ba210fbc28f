"""The life of a tenant: provisioned, changed, suspended and resumed, offboarded. docs/tenants.md describes it for operators.

A tenant is a row of `tenant_profiles` and one of `tenant_subscriptions`. OFFBOARDED is the one status that nothing leaves: every statement
that changes a tenant leaves such a row alone, and the answer of that statement shows it, so no change is between a check and its effect.
"""
