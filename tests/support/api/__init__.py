"""Answers of the gateway against the OpenAPI document: whether they are as it says, and examples for it."""
