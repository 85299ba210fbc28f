"""What checks look at."""

from dataclasses import dataclass
from datetime import datetime

from services.doctor.finding import NotChecked
from services.platform.bigquery.client import BigQuery
from services.platform.settings import ServiceSettings

SERVICES = ("auth", "credentials", "scheduler", "executor")


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """An installation from the inside, at one moment."""

    settings: ServiceSettings
    names: tuple[str, ...]
    """The services that this process stands for: in a container one, on a laptop all."""
    bq: BigQuery | None
    """None: this process has no account."""
    now: datetime

    @property
    def bigquery(self) -> BigQuery:
        """Raises NotChecked without an account."""
        if self.bq is None:
            raise NotChecked("first mend account-missing")
        return self.bq
