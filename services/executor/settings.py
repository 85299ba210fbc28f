"""The executor's settings, in addition to those of all services."""

import tempfile
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from services.platform.environment.values import Host, Listen, Port
from services.platform.identifiers import EMAIL
from services.platform.settings import FOR_EVER, RunDays, ServiceSettings


class ExecutorSettings(ServiceSettings):
    """All times are in seconds."""

    listen: Listen = "0.0.0.0:50054"
    bigquery_threads: int = Field(default=64, ge=1)
    """Threads for BigQuery statements. A run's own statements may take minutes, each in a thread, and RPCs still need free ones. What
    tenants' calls ask for takes half of them at most, in the tenants' turns.
    """
    spool_dir: Path = Path(tempfile.gettempdir())
    """Directory for unnamed temporary files while exports are read; a tenant's take half of its room at most."""
    step_log_days: RunDays = FOR_EVER
    """How long the logs of ended runs' steps are kept; 0: as long as the runs."""
    read_streams: int = Field(default=4, ge=1, le=64)
    """How many streams of one of BigQuery's read sessions are read at once; fewer while their batches would take more than 64 MiB."""
    read_max_rows: int = Field(default=100_000_000, ge=1)
    """The most rows of a tenant's BigQuery exports that one run reads."""
    hand_over_rows: int = Field(default=0, ge=0)
    """A run with more rows than this of BigQuery exports leaves them to BigQuery, where the tenant has a dataset for it; 0: never."""
    credentials_known_seconds: float = Field(default=5.0, ge=0, le=60)
    """How long it is cached that a tenant has credentials. A run works with those of the moment when it was requested, or later ones."""
    credentials_known_most: int = Field(default=10_000, ge=1)
    """For how many tenants that is cached."""
    template_poll_seconds: float = Field(default=5.0, gt=0)
    """How often the template files are checked for changes; new and changed ones are loaded without a restart."""
    storage_read_usd_per_tib: float = Field(default=1.1, ge=0)
    """The Storage Read API's price, for the same."""
    costs_max_bytes: int = Field(default=50 * 2**30, ge=10 * 2**20)
    """The most that one question about costs may be billed for reading; BigQuery refuses it otherwise. 50 GiB cost 0.31 USD."""
    costs_known_seconds: float = Field(default=2.0, ge=0, le=60)
    """How long it is cached when a tenant's tables were last changed: answers about costs are that much behind at most."""
    costs_cache_seconds: float = Field(default=3600.0, ge=0)
    """How long an answer about costs is kept at most, while its days are not published again."""
    costs_cache_most: int = Field(default=2_000, ge=0)
    """How many answers about costs this process keeps."""
    costs_cache_bytes: int = Field(default=64 * 2**20, ge=0)
    """About how much memory they take together."""
    run_max_bytes_read: int = Field(default=2**40, ge=0)
    """The most bytes that a run may read of the tenant's data, unless its template says otherwise; 0: no cap."""
    run_max_cost_usd: float = Field(default=10.0, ge=0)
    """The most that a run may cost in US dollars, by our estimate, unless its template says otherwise; 0: no cap."""
    check_credentials_at_once: int = Field(default=8, ge=1, le=64)
    """Stored credentials that the nightly check tries at once in this process; tenants' own checks have as many threads again."""
    check_credentials_seconds: float = Field(default=20.0, gt=0, le=25)
    """How long one call of the nightly check begins new ones; those begun may take 30 s more, and the gateway waits for 60."""
    watch_poll_seconds: float = Field(default=10.0, gt=0)
    """The first wait between reads of a watched run that no executor leads; it doubles, up to twelve times as much."""
    watch_silence_seconds: float = Field(default=15.0, gt=0)
    """Seconds without an event after which a watcher gets a keep-alive; the gateway closes streams after a minute of silence."""
    max_watchers: int = Field(default=1_000, ge=0)
    """Open watches of all tenants in this process; a tenant's own cap is its plan's."""
    max_concurrent_runs: int = Field(default=8, ge=1)
    """Runs that execute at once in this process; the others wait, RUNNING, and keep their reservations. Tenants take turns, and one has at
    most a quarter of the places while others wait. One of eight places is kept for tenants with fewer than a quarter.
    """
    run_wait_seconds: float = Field(default=3600.0, ge=0, le=6 * 3600)
    """How long a run may wait for one of these places. It is FAILED then, and a scheduled one is tried again."""

    files_max_file_bytes: int = Field(default=2 * 2**30, ge=1)
    """The most bytes of one data file of an exported cost report (AWS, Azure)."""
    files_max_period_bytes: int = Field(default=20 * 2**30, ge=1)
    """The most bytes of all data files of one billing period."""
    files_max_rows: int = Field(default=100_000_000, ge=1)
    """The most rows of one billing period."""
    files_max_count: int = Field(default=4_000, ge=1)
    """The most data files of one billing period."""
    files_max_manifest_bytes: int = Field(default=8 * 2**20, ge=1)
    """The most bytes of a manifest."""
    files_max_columns: int = Field(default=2_000, ge=1)
    """The most columns of a data file, fields of nested ones included."""
    files_max_cell_bytes: int = Field(default=64 * 2**10, ge=1)
    """The most bytes of one value in a data file."""
    files_max_row_group_bytes: int = Field(default=256 * 2**20, ge=1)
    """The most bytes, uncompressed, of a row group of a Parquet file."""
    files_max_inflation: int = Field(default=50, ge=2)
    """How many times as large as the file a gzip file may become."""
    files_max_growth: int = Field(default=100, ge=2)
    """How many times as large as the file its rows may become in memory, beyond the 256 MiB that those of any file may take."""
    files_max_decoded_bytes: int = Field(default=256 * 2**30, ge=1)
    """The most bytes of all rows of one billing period in memory, as they are staged."""
    files_decoder_memory_bytes: int = Field(default=2**30, ge=256 * 2**20)
    """The most memory of the process that decodes a run's data files. Each run that reads files has one."""
    files_decoder_cpu_seconds: int = Field(default=3_600, ge=1)
    """The most CPU time of that process."""
    files_decoder_silence_seconds: float = Field(default=60.0, gt=0)
    """How long that process may work on the next twenty thousand rows; it is killed then."""
    files_usd_per_tib: float = Field(default=92.0, ge=0)
    """What a tenant's cloud charges for reading data from outside (0.09 USD a GB at AWS); 0 where this is the same cloud."""

    notify_refused_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks on the public internet that notifications must not reach, e.g. this installation's own, as JSON."""
    notify_queue: int = Field(default=1000, ge=1)
    """Notifications waiting or in flight in this process; further ones are dropped. One tenant may use a quarter."""
    notify_at_once: int = Field(default=32, ge=1)
    """Notifications in flight at once."""
    notify_try_seconds: float = Field(default=10.0, gt=0)
    """Timeout of one try of one notification."""
    notify_seconds: float = Field(default=300.0, gt=0)
    """Timeout of all tries of one notification together."""
    notify_flush_seconds: float = Field(default=5.0, ge=0)
    """Time for notifications after a stopping executor's runs have ended, at most a quarter of the grace period."""
    notify_smtp_host: Host | None = None
    """The SMTP server for mail notifications; None: no mail is sent."""
    notify_smtp_port: Port = 587
    notify_smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    """`tls`: from the first byte (port 465). `none` is for a laptop."""
    notify_smtp_from: str = ""
    """The sender's address."""
    notify_smtp_user: str | None = None
    notify_smtp_password: SecretStr | None = None

    @model_validator(mode="after")
    def _logs_belong_to_runs(self) -> Self:
        if self.run_days != FOR_EVER and self.step_log_days > self.run_days:
            raise ValueError(
                "CONVERGENCE_STEP_LOG_DAYS: it is more than CONVERGENCE_RUN_DAYS: give that or less, for a run's record leads to its logs"
            )
        return self

    @model_validator(mode="after")
    def _mail_is_whole(self) -> Self:
        if self.notify_smtp_host and not EMAIL.fullmatch(self.notify_smtp_from):
            raise ValueError(
                "CONVERGENCE_NOTIFY_SMTP_FROM: CONVERGENCE_NOTIFY_SMTP_HOST needs it: give an address, e.g. reports@example.com"
            )
        if bool(self.notify_smtp_user) != bool(self.notify_smtp_password):
            raise ValueError("CONVERGENCE_NOTIFY_SMTP_USER and CONVERGENCE_NOTIFY_SMTP_PASSWORD: set both or neither")
        return self
