"""The shape of an API key: `{tenant_id}_api_v1_{32 random base62 digits}{6 check digits}`.

The tenant's name in front is for people who find a key somewhere. The 32 digits are 190 random bits. The check digits (CRC-32 of all before
them) tell a mistyped key without any I/O. Keys that the subscription system issued look otherwise; they are only looked up by their hash.
"""

import hashlib
import re
import secrets
import string
import zlib

_DIGITS = string.digits + string.ascii_letters
_RANDOM, _CHECK = 32, 6
_OURS = re.compile(rf"[a-z0-9_]+_api_v1_[0-9A-Za-z]{{{_RANDOM + _CHECK}}}")


def new_api_key(tenant_id: str) -> str:
    """A key nobody has had before."""
    text = f"{tenant_id}_api_v1_" + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM))
    return text + _check_digits(text)


def is_mistyped(api_key: str) -> bool:
    """True for a key of our own shape whose check digits are wrong: no need to ask anyone."""
    return _OURS.fullmatch(api_key) is not None and _check_digits(api_key[:-_CHECK]) != api_key[-_CHECK:]


def hash_key(key: str) -> str:
    """SHA-256 of a key as stored in `tenant_api_keys.api_key_hash`: 64 lower-case hex digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _check_digits(text: str) -> str:
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECK):
        value, digit = divmod(value, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
