"""The shape of an API key: `{tenant_id}_api_v1_{32 random base62 digits}{6 check digits}`.

The tenant id in front tells a person who finds a key whose it is. The 32 digits are 190 random bits. The check digits (CRC-32 of everything
before them) detect a mistyped key without I/O. Keys issued by the subscription system have another format; they are only looked up by hash.
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
    """A new random key."""
    text = f"{tenant_id}_api_v1_" + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM))
    return text + _check_digits(text)


def is_mistyped(api_key: str) -> bool:
    """True for a key of our format whose check digits are wrong. No look-up is needed for it."""
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
