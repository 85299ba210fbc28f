"""A schedule: its fields, changes to them, and when a change moves its next fire time. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Self

from services.platform.errors import InvalidArgument
from services.platform.time_zones import zone_of
from services.scheduler.cron.catch_up import CATCH_UPS, default_catch_up
from services.scheduler.cron.expression import check_cron, next_after

RETRIES, PRIORITY_LIMIT = range(11), 100
DEFAULTS: Mapping[str, Any] = {
    "is_active": True,
    "priority": 50,
    "max_retries": 3,
    "timezone": "UTC",
    "parameters": {},
    "provider": "",
    "domain": "",
    "pipeline_template": "",
    "schedule_cron": "",
}
"""The meaning of NULL in rows that the subscription system wrote. An empty timezone means UTC, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A row of `tenant_pipeline_configs`."""

    config_id: str
    tenant_id: str
    provider: str
    """Lower-case, e.g. gcp."""
    domain: str
    pipeline_template: str
    schedule_cron: str
    timezone: str
    is_active: bool
    priority: int
    parameters: dict[str, Any]
    max_retries: int
    catch_up: str | None
    """One of CATCH_UPS; None or empty follows the parameters, see `effective_catch_up`."""
    next_run_time: datetime | None
    """The next fire time, or a due one that waits for the trigger; None only if another system wrote the row without it."""
    last_run_time: datetime | None
    last_run_status: str | None
    created_by_user_id: str | None
    created_at: datetime | None
    updated_at: datetime | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row: replaces NULLs by their meaning, and writes the provider in lower case."""
        known: dict[str, Any] = {
            name: DEFAULTS.get(name) if row[name] is None else row[name] for name in (field.name for field in fields(cls))
        }
        parameters = known["parameters"] if isinstance(known["parameters"], dict) else {}
        return cls(**{**known, "provider": known["provider"].lower(), "timezone": known["timezone"] or "UTC", "parameters": parameters})

    @classmethod
    def blank(cls, *, config_id: str, tenant_id: str, provider: str, domain: str, pipeline_template: str) -> Self:
        """A new schedule without any settings."""
        row = dict.fromkeys(field.name for field in fields(cls))
        named = {"provider": provider, "domain": domain, "pipeline_template": pipeline_template}
        return cls.from_row({**row, **named, "config_id": config_id, "tenant_id": tenant_id})

    @property
    def effective_catch_up(self) -> str:
        """One of CATCH_UPS: the schedule's own, else the default for its parameters."""
        return self.catch_up or default_catch_up(self.parameters)

    @property
    def pipeline_id(self) -> str:
        """E.g. `gcp-cost-billing`."""
        return f"{self.provider}-{self.domain}-{self.pipeline_template}"

    def next_fire_time(self, now: datetime) -> datetime:
        """The first fire time after `now`. Raises InvalidArgument if another system wrote an invalid cron expression or timezone."""
        return next_after(self.schedule_cron, self.timezone, now)

    @property
    def problem(self) -> str | None:
        """What is wrong with a cron expression or timezone that another system wrote, or that was accepted before it was refused here. A
        schedule that cannot be parsed never fires; one that is only ambiguous keeps firing, as `NextFirings` shows.
        """
        try:
            check_cron(self.schedule_cron)
            zone_of(self.timezone)
        except InvalidArgument as error:
            return error.message
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A caller's changes to a schedule; None leaves a field unchanged."""

    schedule_cron: str | None = None
    timezone: str | None = None
    is_active: bool | None = None
    priority: int | None = None
    parameters: dict[str, Any] | None = None
    max_retries: int | None = None
    catch_up: str | None = None

    def checked(self, max_priority: int) -> Self:
        """The same, with single spaces in the cron expression. `max_priority`: the plan's ceiling. Raises InvalidArgument for the first
        invalid field.
        """
        if self.timezone is not None:
            zone_of(self.timezone)
        if self.priority is not None and not 0 <= self.priority <= max_priority:
            highest = "the highest there is" if max_priority >= PRIORITY_LIMIT else "the highest that your plan allows"
            raise InvalidArgument("priority", f"use 0 to {max_priority}, {highest}; the higher, the earlier a run is taken.")
        if self.max_retries is not None and self.max_retries not in RETRIES:
            raise InvalidArgument("max_retries", f"use {RETRIES[0]} to {RETRIES[-1]}.")
        if self.catch_up is not None and self.catch_up not in CATCH_UPS:
            raise InvalidArgument("catch_up", f"use one of {', '.join(CATCH_UPS)}.")
        return self if self.schedule_cron is None else replace(self, schedule_cron=check_cron(self.schedule_cron))

    def applied_to(self, schedule: Schedule) -> Schedule:
        """The schedule with these changes; its next fire time stays."""
        return replace(schedule, **{field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None})


def is_rescheduled(before: Schedule, after: Schedule) -> bool:
    """True if a change moves the schedule to a new next fire time.

    Only a change of the timing or a reactivation does; fire times missed while inactive stay missed. Other changes leave the fire time to
    the trigger, which may be advancing it at the same moment.
    """
    woken = after.is_active and not before.is_active
    return woken or (before.schedule_cron, before.timezone) != (after.schedule_cron, after.timezone)
