"""A check that cannot look."""


class NotChecked(Exception):
    """The text says why, and what to give so that it can."""
