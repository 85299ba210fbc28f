"""Derived ids: the same input gives the same id, so doing something twice with it is doing it once.

A `run_id` identifies one fire time, or one backfilled day, of one schedule; a `pipeline_logging_id` one attempt of one run.
"""

from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID, uuid5

_NO_UUID: Final = UUID("5b0c3f0a-92de-5a37-8f0e-1f6a0d7c3e03")
_BACKFILLS: Final = {True: "backfill", False: "backfill of a part"}
"""Keyed by whether the day is over."""


def fire_run_id(config_id: str, scheduled_time: datetime) -> str:
    """The run of a schedule's fire time. Raises ValueError for a time without timezone, which means another moment on another machine."""
    if scheduled_time.tzinfo is None:
        raise ValueError("scheduled_time must have a timezone.")
    return str(uuid5(_namespace(config_id), scheduled_time.astimezone(UTC).isoformat()))


def backfill_run_id(config_id: str, day: date, *, is_over: bool = True) -> str:
    """The run that a backfill queues for a day: the same in every backfill, and never the run of a fire time. A day that is not over has
    another id, so that its incomplete data does not count as the day: a backfill after its end queues it again.
    """
    return str(uuid5(_namespace(config_id), f"{_BACKFILLS[is_over]}|{day.isoformat()}"))


def is_backfill(config_id: str, run_id: str, day: object) -> bool:
    """True if a backfill queued the run. `day` is the run's parameter `date` as stored in the row, of any type."""
    return isinstance(day, str) and run_id in {str(uuid5(_namespace(config_id), f"{kind}|{day}")) for kind in _BACKFILLS.values()}


def pipeline_logging_id(run_id: str, attempt: int) -> str:
    """The id of one attempt of a run, counted from 1."""
    return str(uuid5(_namespace(run_id), str(attempt)))


def _namespace(name: str) -> UUID:
    # Rows written by other systems may have ids of any form; those are hashed into a namespace of their own.
    try:
        return UUID(name)
    except ValueError:
        return uuid5(_NO_UUID, name)
