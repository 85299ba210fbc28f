"""The versions of a key, by their names. Pure."""

_BETWEEN = "/cryptoKeyVersions/"


def version_number(version: str | None, key: str) -> int | None:
    """The number of a version of `key` from its full name, `{key}/cryptoKeyVersions/{number}`; None for any other text. Later versions
    have greater numbers.
    """
    number = (version or "").removeprefix(key + _BETWEEN)
    return int(number) if number != version and number.isascii() and number.isdecimal() else None


def is_of_another_key(version: str | None, key: str) -> bool:
    """True if the text is the full name of a version, and not of one of `key`."""
    return version is not None and _BETWEEN in version and version_number(version, key) is None
