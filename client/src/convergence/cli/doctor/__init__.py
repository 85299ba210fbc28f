"""Finds out what is wrong with an installation. Each check is a file: a probe that asks, and a pure decision about what came back."""
