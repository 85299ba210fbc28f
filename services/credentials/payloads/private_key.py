"""Restores a service account's private key to the PEM that Google issued, whatever happened to its line breaks."""

import re
import textwrap

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPrivateNumbers
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.credentials.payloads.pasted import trim, unquote
from services.platform.errors import InvalidArgument

MAX_LENGTH = 4096
"""Characters: an RSA key of 4096 bits, Google's longest, has 3,300. Checking a longer one would cost seconds of CPU."""

_MESSAGE, _PADDING, _HASH = b"convergence", PKCS1v15(), SHA256()
"""What is signed to try a key: RS256, as Google's tokens are."""
_MOST_EXPONENT = 2**33
_BROKEN = "must be an RSA private key in PEM, without a password, as Google issued it."
# Backslash and n, escaped once or more: the key went through an environment variable, or through JSON twice.
_WRITTEN_BREAK = re.compile(r"\\+[nr]")
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----(.*)-----END \1-----", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+=*")
_LINE = 64

_OTHER_KINDS = {
    "ENCRYPTED PRIVATE KEY": "is locked with a password. Send the key as Google issued it, without one.",
    "CERTIFICATE": "is a certificate. Send the private key from the key file that Google issued.",
    "PUBLIC KEY": "is the public key. Send the private key from the key file that Google issued.",
    "EC PRIVATE KEY": "is no RSA key. Send the key as Google issued it.",
}


def read_private_key(text: str, *, field: str) -> str:
    """One RSA key in PEM (PKCS#8 or PKCS#1) whose numbers are consistent, with correct line breaks.

    Raises InvalidArgument for `field`, saying what is wrong but never quoting the text.
    """
    text = _WRITTEN_BREAK.sub("\n", unquote(trim(text)))
    found = _PEM.fullmatch(text.strip()) if len(text) <= MAX_LENGTH else None
    if found is None:
        raise InvalidArgument(field, _cause(text))
    label, body = found[1], "".join(found[2].split())
    if label in _OTHER_KINDS:
        raise InvalidArgument(field, _OTHER_KINDS[label])
    if "Proc-Type:4,ENCRYPTED" in body:
        raise InvalidArgument(field, _OTHER_KINDS["ENCRYPTED PRIVATE KEY"])
    if label not in {"PRIVATE KEY", "RSA PRIVATE KEY"} or not _BASE64.fullmatch(body):
        raise InvalidArgument(field, _BROKEN)
    pem = "\n".join((f"-----BEGIN {label}-----", *textwrap.wrap(body, _LINE), f"-----END {label}-----", ""))
    if not _is_rsa(pem):
        raise InvalidArgument(field, _BROKEN)
    return pem


def _cause(text: str) -> str:
    if text.startswith("-----BEGIN ") and "-----END " not in text:
        return "breaks off: its last line, which begins with -----END, is missing. Copy it whole from the key file."
    if "-----BEGIN " not in text:
        return "has no line that begins with -----BEGIN. Copy it whole from the key file that Google issued."
    return _BROKEN


def _is_rsa(pem: str) -> bool:
    """True for an RSA key that signs what its public half verifies.

    The library's own validation tests the primes, and holds Python's global lock for a quarter of a second with 4096 bits: in a thread it
    would stop all other calls just as well. This takes some 3 ms, and finds what is no key of these numbers.
    """
    try:
        key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, RSAPrivateKey) or not _is_consistent(key.private_numbers()):
            return False
        key.public_key().verify(key.sign(_MESSAGE, _PADDING, _HASH), _MESSAGE, _PADDING, _HASH)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def _is_consistent(key: RSAPrivateNumbers) -> bool:
    """True if all numbers follow from two factors, as RFC 8017, section 3.2 has them. Signing alone would not use all of them."""
    p, q, e = key.p, key.q, key.public_numbers.e
    return (
        min(p, q) > 1
        and 1 < e < _MOST_EXPONENT
        and p * q == key.public_numbers.n
        and key.d * e % (p - 1) == 1 % (p - 1)
        and key.d * e % (q - 1) == 1 % (q - 1)
        and key.dmp1 == key.d % (p - 1)
        and key.dmq1 == key.d % (q - 1)
        and key.iqmp * q % p == 1
    )
