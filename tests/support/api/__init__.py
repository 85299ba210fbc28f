"""Compares the gateway's answers with the OpenAPI document, and records examples for it."""
