"""Cleans pasted text: removes what editors, shells and spreadsheets leave around a value."""

import string

_SPACES = string.whitespace + "\x85\xa0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"
_AROUND = _SPACES + _INVISIBLE
_MISREAD_MARK = "\u00ef\u00bb\u00bf"
"""A byte order mark whose UTF-8 was read as Latin-1."""
_QUOTES = {('"', '"'), ("'", "'"), ("`", "`"), ("\u201c", "\u201d"), ("\u2018", "\u2019")}


def trim(text: str) -> str:
    """The text without white space, byte order marks and zero-width characters at both ends."""
    return text.strip(_AROUND).removeprefix(_MISREAD_MARK).strip(_AROUND)


def unquote(text: str) -> str:
    """The trimmed text without one pair of surrounding quotes, if it has any."""
    return trim(text[1:-1]) if len(text) > 1 and (text[0], text[-1]) in _QUOTES else text
