"""The runs of all tenants, for operators.

A run's own row is in its tenant's dataset, and there are thousands of these. So executors also write the start and the end of each run into
one control table, `tenant_runs`, in the background (`services/platform/reporting`): no run waits for it or fails because of it.
"""
