"""The audit log as auth keeps it: one hash chain for each tenant, and one for the platform.

`chain` says how an entry is hashed, `appender` how several processes extend the same chains without forking one, `verify` checks entries
without any service: `python -m services.auth.audit verify FILE`. What is recorded is decided in `services/platform/audit`.
"""
