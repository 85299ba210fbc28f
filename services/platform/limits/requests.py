"""How many requests a minute one owner of keys may make: a bucket for the owner, and one for each of its keys. Pure; time is passed in."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice

from services.platform.limits.token_bucket import WINDOW_SECONDS, TokenBucket

MAX_KEYS = 100
"""Keys of one owner that have a bucket of their own; of more, those used last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """The answer to one request, and what is left after it."""

    per_minute: int
    """The limit of the bucket that is nearest to empty."""
    left: int
    seconds_to_more: int
    wait: timedelta | None
    """When to ask again; None: the request is within the limits."""

    @property
    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers, by lower-case name: q requests in w seconds, of which
        r are left; in t seconds, without a request, there are q again. Where none is left, t is when there is one again: the same moment
        that `Retry-After` names, as the draft asks.
        """
        return {
            "ratelimit-policy": f'"default";q={self.per_minute};w={WINDOW_SECONDS}',
            "ratelimit": f'"default";r={self.left};t={self.seconds_to_more}',
        }


@dataclass(kw_only=True, slots=True)
class _Owner:
    bucket: TokenBucket
    keys: OrderedDict[str, TokenBucket] = field(default_factory=OrderedDict)
    """The one used last is at the end."""


class RequestLimits:
    """The buckets of the `max_owners` owners that asked last. An owner that was pushed out starts with a full bucket.

    All keys of an owner share its limit. While several are in use, that is, have asked within a minute, one of them has at most `key_share`
    of it, so that a key in a loop leaves something for the others; a key that is alone may use it all.
    """

    def __init__(self, *, key_share: float, max_owners: int) -> None:
        self._key_share, self._max_owners = key_share, max_owners
        self._owners: OrderedDict[str, _Owner] = OrderedDict()

    def ask(self, owner: str, key: str, per_minute: int, now: float) -> Allowance:
        """Takes one request of `key`, of `owner`, if the limits leave one. `now` is monotonic seconds."""
        known = self._owners.get(owner)
        if known is None:
            known = self._owners[owner] = _Owner(bucket=TokenBucket.full(per_minute, now))
        _use(self._owners, owner, self._max_owners)
        known.bucket.refill(per_minute, now)
        own = self._key_bucket(known, key, per_minute, now)
        least = known.bucket
        if _others_in_use(known, now):
            least = max(least, own, key=lambda bucket: (bucket.wait or timedelta(0), -bucket.left))
        wait = least.wait
        if wait is None:
            known.bucket.take()
            own.take()
        return Allowance(per_minute=least.per_minute, left=int(least.left), seconds_to_more=least.seconds_to_more, wait=wait)

    def _key_bucket(self, owner: _Owner, key: str, per_minute: int, now: float) -> TokenBucket:
        share = max(1, int(per_minute * self._key_share))
        bucket = owner.keys.get(key)
        if bucket is None:
            bucket = owner.keys[key] = TokenBucket.full(share, now)
        _use(owner.keys, key, MAX_KEYS)
        bucket.refill(share, now)
        return bucket


def _use[Value](kept: OrderedDict[str, Value], name: str, most: int) -> None:
    kept.move_to_end(name)
    while len(kept) > most:
        kept.popitem(last=False)


def _others_in_use(owner: _Owner, now: float) -> bool:
    """The key that asks is the last one."""
    before = next(islice(reversed(owner.keys.values()), 1, None), None)
    return before is not None and now - before.at < WINDOW_SECONDS
