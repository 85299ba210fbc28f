"""Finds out what is wrong with an installation from the inside: what only a process with the services' settings can see.

`python -m services.doctor [SERVICE ...]` in a service's container prints JSON; `convergence doctor --local` shows it. Each check is a file
of `checks`: a probe, and a pure decision. Nothing is changed anywhere: statements are dry runs, and what KMS encrypts is thrown away.
"""
