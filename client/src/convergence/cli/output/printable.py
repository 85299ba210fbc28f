"""Keeps what others wrote, such as a tenant's name or a file's, from controlling the terminal. Pure."""

import re

# All control characters but line feed and tab, and those that turn the direction of text.
_CONTROLS = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")
_MARK = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """The text with a mark in place of each such character."""
    return _CONTROLS.sub(_MARK, text)
