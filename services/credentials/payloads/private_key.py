"""Whether a text is a private key that a service account can sign with."""

import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

MAX_LENGTH = 4096
"""Characters: an RSA key of 4096 bits, the longest Google takes, has 3,300. Checking a longer one costs seconds of this service's time."""

_PEM = re.compile(r"\s*-----BEGIN (RSA )?PRIVATE KEY-----\s[A-Za-z0-9+/=\s]+-----END (RSA )?PRIVATE KEY-----\s*")


def is_rsa_private_key(text: str) -> bool:
    """True for one RSA key in PEM (PKCS#8 or PKCS#1) without a password, whose numbers fit together."""
    if len(text) > MAX_LENGTH or not _PEM.fullmatch(text):
        return False
    try:
        return isinstance(load_pem_private_key(text.strip().encode(), password=None), RSAPrivateKey)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
