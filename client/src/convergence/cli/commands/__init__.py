"""The commands, a file for each noun: a tenant's, an operator's, and those of this machine."""
