"""Tenants' clouds: how a tenant's access to one is used and checked. A folder a cloud, none of which knows another.

The executor reads billing data with it; credentials checks access before it is stored. A cloud's libraries are imported when a tenant's
access to it is opened, so that a process that serves one cloud loads no other's.
"""
