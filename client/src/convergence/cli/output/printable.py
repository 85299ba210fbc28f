"""Keeps what others wrote, such as a tenant's name or a service's, from controlling the terminal. All output passes here: text through
`printable`, JSON through `escaped`. Pure.
"""

import re

# All control characters but line feed and tab, those that turn the direction of text, other breaks of lines, and halves of characters.
_CONTROLS = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
_MARK = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """The text with a mark in place of each such character."""
    return _CONTROLS.sub(_MARK, text)


def one_line(text: str) -> str:
    """The same on one line, so that a text with line breaks does not pass for other lines of the answer."""
    return " ".join(printable(text).split())


def escaped(json: str) -> str:
    """A JSON text with the same value, in which each such character is written as an escape of JSON."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", json)
