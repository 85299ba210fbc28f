"""Creates schedules: within the plan's limit, and once for each idempotency key."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from services.platform.clock import Clock
from services.platform.errors import FailedPrecondition
from services.platform.plan import PlanLimits
from services.platform.rpc.idempotency import id_now, key_reused
from services.scheduler.schedules.changes import ScheduleChanges
from services.scheduler.schedules.schedule import Change, Schedule
from services.scheduler.schedules.store import ScheduleStore

SCHEDULES: Final = UUID("b3f6c1d8-0a54-5f7e-8d0b-64a1f2c9e715")
"""The namespace of schedules that idempotency keys name."""
ANOTHER = "another schedule"


@dataclass(frozen=True, kw_only=True, slots=True)
class Creator:
    """Who creates a schedule, and how often it may be sent."""

    user_id: str | None
    limits: PlanLimits
    key: str | None = None
    """The call's idempotency key."""


class ScheduleCreation:
    """CreateSchedule."""

    def __init__(self, changes: ScheduleChanges, store: ScheduleStore, clock: Clock) -> None:
        self._changes, self._store, self._clock = changes, store, clock

    async def create(self, blank: Schedule, requested: Change, creator: Creator) -> Schedule:
        """The new schedule. If the key has created a schedule with the same request in the last 24 hours: that schedule as it is now. One
        statement, or two with a key. Raises InvalidArgument, NotFound if there is no such template, and FailedPrecondition if the tenant
        has as many schedules as its plan allows, or if the key was used for another request. A refused request does not use up the key.
        """
        digest, identity = None, None
        if creator.key is not None:
            digest = digest_of(blank, requested)
            identity, is_new = await self._id_now(blank.tenant_id, creator.key, digest)
            if not is_new:
                return await self._changes.get(blank.tenant_id, identity)
        schedule = await self._changes.prepare(blank, requested, user_id=creator.user_id, limits=creator.limits)
        schedule = replace(schedule, config_id=identity or schedule.config_id)
        inserted = await self._changes.insert(schedule, request_sha256=digest, max_schedules=creator.limits.max_schedules)
        if not inserted.copies:
            raise _limit_reached(inserted.schedules, creator.limits)
        if inserted.is_new:
            return schedule
        # Another call with the key was first.
        if inserted.request_sha256 != digest:
            raise key_reused(ANOTHER)
        return await self._changes.get(schedule.tenant_id, schedule.config_id)

    async def _id_now(self, tenant_id: str, key: str, digest: str) -> tuple[str, bool]:
        requests = dict[str, str | None]()

        async def find(ids: Sequence[str]) -> Mapping[str, datetime]:
            known = await self._store.known_requests(tenant_id, ids)
            requests.update({config_id: one.request_sha256 for config_id, one in known.items()})
            return {config_id: one.created_at for config_id, one in known.items()}

        identity, is_new = await id_now(SCHEDULES, tenant_id, key, find=find, now=self._clock.now())
        if not is_new and requests[identity] != digest:
            raise key_reused(ANOTHER)
        return identity, is_new


def digest_of(blank: Schedule, requested: Change) -> str:
    """The SHA-256, in hex, of what a request asks for. The stored schedule cannot be compared instead: it may have been changed since."""
    asked = {**asdict(requested), "pipeline": blank.pipeline_id, "schedule_cron": " ".join((requested.schedule_cron or "").split())}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _limit_reached(schedules: int, limits: PlanLimits) -> FailedPrecondition:
    return FailedPrecondition(
        "SCHEDULE_LIMIT_REACHED",
        f"You have {max(schedules, limits.max_schedules)} schedules, and your plan allows {limits.max_schedules}. Delete one, or ask for a"
        " larger plan.",
        metadata={"max_schedules": str(limits.max_schedules)},
    )
