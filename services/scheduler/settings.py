"""The scheduler's settings, in addition to those of all services."""

from pydantic import Field, field_validator

from services.platform.environment.values import Listen
from services.platform.errors import InvalidArgument
from services.platform.settings import ServiceSettings
from services.scheduler.cron.fields import FIELD, parse_cron
from services.scheduler.cron.trigger_times import HOURLY

AGEING_SECONDS = 1800


class SchedulerSettings(ServiceSettings):
    """All times are in seconds."""

    listen: Listen = "0.0.0.0:50053"
    poll_seconds: float = Field(default=5.0, gt=0)
    """How often the executor is polled for the states of this process's claimed runs."""
    claim_lease_seconds: float | None = Field(default=None, gt=0)
    """Lease of a claim; it is renewed three times in that time. None: `lease_seconds`."""
    journal_gather_seconds: float = Field(default=15.0, ge=0, le=30)
    """Batch window for recording starts and ends of runs. The first after an idle period is written at once."""
    starts_at_once: int = Field(default=64, ge=1)
    """StartRun calls in flight at once in this process."""
    retry_base_seconds: float = Field(default=60.0, gt=0)
    """The wait before the first retry, before jitter; it doubles with each failure."""
    retry_cap_seconds: float = Field(default=3600.0, gt=0)
    """The longest wait, before a retry and after a refusal."""

    trigger_cron: str = HOURLY
    """When Cloud Scheduler calls the trigger, in UTC: the schedule of its job, from which answers say when runs are queued."""
    ageing_seconds: int = Field(default=AGEING_SECONDS, ge=0)
    """A waiting run counts as one priority higher for each multiple of this that the clock has passed since it was queued; backfills do
    not. 0: off, and then low priorities may wait for ever.
    """

    @field_validator("trigger_cron")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        try:
            return parse_cron(value).text
        except InvalidArgument as error:
            raise ValueError(error.message.removeprefix(f"{FIELD}: ")) from error

    @property
    def claim_lease(self) -> float:
        """Lease of a claim."""
        return self.claim_lease_seconds or self.lease_seconds
