"""Tenants' clouds: how a tenant's access is used and checked. Each cloud has a folder, which imports no other cloud's.

The executor uses it to read billing data, credentials to check access before storing it. A cloud's libraries are imported when a tenant's
access to that cloud is opened, so a process that serves one cloud does not load the libraries of others.
"""
