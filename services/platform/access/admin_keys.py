"""The admin keys that the service is configured with."""

import hmac
from collections.abc import Sequence

from services.platform.access.api_keys import hash_key
from services.platform.access.operator import Operator
from services.platform.errors import Unauthenticated
from services.platform.settings import AdminKey

DIGITS = 8
"""Of a key's hash, by which an operator recognizes it."""


def operator_of(key: str, known: Sequence[AdminKey]) -> Operator:
    """The holder of an admin key. Raises Unauthenticated for a key that is not known.

    A refusal costs one hash and locks no one out: guessing is hopeless because the keys are long and random, not because it is slow.
    """
    hashed = hash_key(key)
    # Every key is compared, each in constant time: the time taken reveals nothing.
    roles = frozenset([one.role for one in known if hmac.compare_digest(one.sha256, hashed)])
    if not roles:
        raise Unauthenticated("ADMIN_KEY_INVALID", "This admin key is not known. Send one that the service is configured with.")
    return Operator(principal=f"admin-key:{hashed[:DIGITS]}", counted_as=f"admin-key:{hashed}", roles=roles)
