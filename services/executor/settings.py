"""The executor's own settings, besides those that all services share."""

import tempfile
from pathlib import Path

from pydantic import Field

from services.platform.settings import ServiceSettings


class ExecutorSettings(ServiceSettings):
    """Times are in seconds."""

    listen: str = "0.0.0.0:50054"
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
