"""Runs: the list, one run as it goes, starting one."""
