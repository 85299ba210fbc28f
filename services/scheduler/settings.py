"""The scheduler's own settings, besides those that all services share."""

from pydantic import Field

from services.platform.settings import ServiceSettings


class SchedulerSettings(ServiceSettings):
    """Times are in seconds."""

    listen: str = "0.0.0.0:50053"
    poll_seconds: float = Field(default=5.0, gt=0)
    """How often the executor is asked about the runs that this process has claimed."""
    claim_lease_seconds: float | None = Field(default=None, gt=0)
    """How long a claim holds without being renewed; it is renewed three times in that time. None: `lease_seconds`."""
    journal_gather_seconds: float = Field(default=15.0, ge=0, le=30)
    """How long the beginnings and ends of runs gather before they are written in one go. The first after a quiet time does not wait."""
    starts_at_once: int = Field(default=64, ge=1)
    """StartRun calls under way at once in this process."""
    retry_base_seconds: float = Field(default=60.0, gt=0)
    """The wait before the first retry, before jitter; it doubles with each failure."""
    retry_cap_seconds: float = Field(default=3600.0, gt=0)
    """No wait is longer: neither before a retry, nor after a refusal."""

    @property
    def claim_lease(self) -> float:
        """How long a claim holds."""
        return self.claim_lease_seconds or self.lease_seconds
