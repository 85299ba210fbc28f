"""Schedules, as their tenants make, change, delete and backfill them."""
