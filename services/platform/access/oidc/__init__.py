"""Operators and jobs by tokens of OpenID Connect, beside admin keys: `verifier` checks a token with the issuer's `issuer_keys`, which
`fetch` reads; `operators` maps it to admin roles.
"""
