"""Which versions of the signing key are published, and which one signs: a rotation with overlap. Pure.

Verifiers keep the published keys for a while, so a version signs only when it has been published for longer than that (`overlap`); until
then the one before it goes on. The operator rotates by creating a version and, once nothing signed with the old one is valid any more,
disabling that: every enabled version is published, no other is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.platform.kms.signer import SigningVersion


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedKey:
    """A version in the key set."""

    version: str
    """Its full name."""
    since: datetime
    """Since when it is published."""
    jwk: Mapping[str, str]
    """Its public key, with its `kid`."""


def published_since(known: Sequence[PublishedKey] | None, versions: Sequence[SigningVersion], now: datetime) -> dict[str, datetime]:
    """Since when each of the enabled versions is published, by name.

    `known`: what was published until now; None: this process has published nothing yet, and others have published each version since it was
    generated. A version that was disabled meanwhile counts as new when it comes back.
    """
    if known is None:
        return {one.name: one.generated_at for one in versions}
    before = {key.version: key.since for key in known}
    return {one.name: before.get(one.name, now) for one in versions}


def signing_key(published: Sequence[PublishedKey], *, overlap: timedelta, now: datetime) -> PublishedKey | None:
    """The newest version that every verifier knows by now; if there is none, the one that was published first, so that the only version
    signs at once. None: nothing is published. `published` is in the order in which the versions were generated.
    """
    known_everywhere = [key for key in published if key.since + overlap <= now]
    return known_everywhere[-1] if known_everywhere else min(published, key=lambda key: key.since, default=None)
