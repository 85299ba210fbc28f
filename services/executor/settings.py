"""The executor's own settings, besides those that all services share."""

import tempfile
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from services.platform.identifiers import EMAIL
from services.platform.settings import ServiceSettings


class ExecutorSettings(ServiceSettings):
    """Times are in seconds."""

    listen: str = "0.0.0.0:50054"
    bigquery_threads: int = 64
    """A run's own statements may take minutes, and each holds a thread; calls must find one all the same."""
    spool_dir: Path = Path(tempfile.gettempdir())
    """Where exports lie while they are read, in files without a name; needs room for the largest days that are read at once."""
    credentials_known_seconds: float = Field(default=5.0, ge=0, le=60)
    """How long it is remembered that a tenant has credentials; a run itself always fetches them anew."""
    credentials_known_most: int = Field(default=10_000, ge=1)
    """Of how many tenants that is remembered."""
    template_poll_seconds: float = Field(default=5.0, gt=0)
    """How often the templates' files are looked at; new and changed ones are read without a restart."""
    query_usd_per_tib: float = Field(default=6.25, ge=0)
    """What BigQuery charges for queries on demand, for dry runs to tell; 0 for who pays for slots."""
    storage_read_usd_per_tib: float = Field(default=1.1, ge=0)
    """What the Storage Read API charges."""
    watch_poll_seconds: float = Field(default=2.0, gt=0)
    """How often a watched run is read."""
    watch_silence_seconds: float = Field(default=15.0, gt=0)
    """A watcher hears something at least that often; the gateway ends streams that are silent for a minute."""
    max_concurrent_runs: int = Field(default=8, ge=1)
    """Runs that work at once in this process; the others wait, RUNNING, and keep their slots."""

    notify_allow_private_targets: bool = False
    """Whether notifications may go to addresses that are not the public internet's: for a laptop, never where tenants are strangers."""
    notify_queue: int = Field(default=1000, ge=1)
    """Notifications that wait or are under way at once in this process; more are dropped. One tenant may hold a quarter."""
    notify_at_once: int = Field(default=32, ge=1)
    """Notifications that are being sent at the same moment."""
    notify_try_seconds: float = Field(default=10.0, gt=0)
    """For one try of one notification."""
    notify_seconds: float = Field(default=300.0, gt=0)
    """For all tries of one notification together."""
    notify_flush_seconds: float = Field(default=5.0, ge=0)
    """What a stopping executor leaves notifications after its runs have ended, at most a quarter of the grace period."""
    notify_smtp_host: str | None = None
    """The mail server that notifications go through; None: no mail is sent."""
    notify_smtp_port: int = 587
    notify_smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    """`tls` from the first byte (port 465). `none` is for a laptop."""
    notify_smtp_from: str = ""
    """The address that mail comes from."""
    notify_smtp_user: str | None = None
    notify_smtp_password: SecretStr | None = None

    @model_validator(mode="after")
    def _mail_is_whole(self) -> Self:
        if self.notify_smtp_host and not EMAIL.fullmatch(self.notify_smtp_from):
            raise ValueError("CONVERGENCE_NOTIFY_SMTP_HOST needs CONVERGENCE_NOTIFY_SMTP_FROM, an address of mail")
        if bool(self.notify_smtp_user) != bool(self.notify_smtp_password):
            raise ValueError("set CONVERGENCE_NOTIFY_SMTP_USER and CONVERGENCE_NOTIFY_SMTP_PASSWORD, or neither")
        return self
