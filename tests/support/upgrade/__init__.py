"""Upgrades: the tables of commit 4153373, which have no version, and old and new processes side by side (`make upgrade-from`)."""
