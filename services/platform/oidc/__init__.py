"""Tokens of OpenID Connect: whose are trusted (`trusted_issuers`), and which are good (`verifier`), by the keys that their issuer publishes
(`issuer_keys`, read by `fetch`).
"""
