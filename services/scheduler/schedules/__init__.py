"""Schedules: created, changed, deleted and backfilled by their tenants."""
