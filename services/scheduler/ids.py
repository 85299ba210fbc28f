"""Ids that are made, not drawn: who makes one again for the same thing makes the same one, so that doing a thing twice is doing it once.

A `run_id` stands for one slot, or for one backfilled day, of one schedule; a `pipeline_logging_id` for one attempt of one run.
"""

from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID, uuid5

_NO_UUID: Final = UUID("5b0c3f0a-92de-5a37-8f0e-1f6a0d7c3e03")
_BACKFILLS: Final = {True: "backfill", False: "backfill of a part"}
"""By whether the day is over."""


def fire_run_id(config_id: str, scheduled_time: datetime) -> str:
    """The run of a schedule's slot. Raises ValueError for a time without a zone, which would be another moment on another machine."""
    if scheduled_time.tzinfo is None:
        raise ValueError("scheduled_time must have a timezone.")
    return str(uuid5(_namespace(config_id), scheduled_time.astimezone(UTC).isoformat()))


def backfill_run_id(config_id: str, day: date, *, is_over: bool = True) -> str:
    """The run that a backfill queues for a day: the same in every backfill, and never that of a slot. A day that is not over has one more,
    so that its part does not pass for the day: a backfill after its end queues it again.
    """
    return str(uuid5(_namespace(config_id), f"{_BACKFILLS[is_over]}|{day.isoformat()}"))


def is_backfill(config_id: str, run_id: str, day: object) -> bool:
    """Whether a backfill queued the run. `day` is the run's parameter `date` as it stands in the row, whatever that is."""
    return isinstance(day, str) and run_id in {str(uuid5(_namespace(config_id), f"{kind}|{day}")) for kind in _BACKFILLS.values()}


def pipeline_logging_id(run_id: str, attempt: int) -> str:
    """The id of one attempt of a run, counted from 1."""
    return str(uuid5(_namespace(run_id), str(attempt)))


def _namespace(name: str) -> UUID:
    # Rows that others wrote may be named as they like; such a name is hashed into a namespace of its own.
    try:
        return UUID(name)
    except ValueError:
        return uuid5(_NO_UUID, name)
