"""The verdicts of a tenant's quality checks over time."""
