"""The state of the whole installation, for operators. docs/fleet.md says what to do about it."""
