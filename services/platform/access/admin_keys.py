"""The admin keys that the service is configured with."""

import hmac
from collections.abc import Sequence

from services.platform.access.api_keys import hash_key
from services.platform.errors import Unauthenticated
from services.platform.settings import AdminKey


def admin_roles(key: str, known: Sequence[AdminKey]) -> frozenset[str]:
    """The roles of an admin key. Raises Unauthenticated for a key that is not known.

    A refusal costs one hash and locks no one out: guessing is hopeless because the keys are long and random, not because it is slow.
    """
    hashed = hash_key(key)
    # Every key is compared, each in constant time: the time taken reveals nothing.
    roles = frozenset([one.role for one in known if hmac.compare_digest(one.sha256, hashed)])
    if not roles:
        raise Unauthenticated("ADMIN_KEY_INVALID", "This admin key is not known. Send one that the service is configured with.")
    return roles


def fingerprint(key: str) -> str:
    """Which admin key it is, for the audit log: the first eight hex digits of its SHA-256, to find it among the configured ones."""
    return hash_key(key)[:8]
