"""What can be set, read from the environment once, at start.

Every variable begins with `CONVERGENCE_`, but for the ones that Google's own tools know by another name. The same code runs on GCP and on
a laptop: there the three `*_EMULATOR_HOST` variables point elsewhere, and nothing else differs.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parents[2]


class AdminKey(BaseModel, frozen=True):
    """One admin key, by its hash. Two of a role may be active at once, so that a key can be rotated without a gap."""

    role: Literal["provisioner", "scheduler"]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ServiceSettings(BaseSettings):
    """What all four services share. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="CONVERGENCE_", frozen=True, extra="ignore", populate_by_name=True)

    listen: str = "0.0.0.0:50051"
    """host:port of the gRPC server."""
    metrics_port: int | None = None
    """Prometheus metrics, and `/healthz` for probes, over plain HTTP on the host of `listen`; None: off."""
    tls_dir: Path = Path("/etc/convergence/tls")
    """Holds `ca.pem`, `{service}.pem` and `{service}.key`."""
    grace_seconds: float = 20.0
    """How long a stopping service lets calls and runs finish. Keep it below the platform's own limit (Kubernetes: 30)."""

    auth_address: str = "auth:50051"
    credentials_address: str = "credentials:50052"
    scheduler_address: str = "scheduler:50053"
    executor_address: str = "executor:50054"
    peer_deadline_seconds: float = Field(default=35.0, gt=0)
    """For one call between services: as long as two short statements with all their retries, shorter than the gateway waits."""

    project: str = Field(default="convergence-local", validation_alias="GOOGLE_CLOUD_PROJECT")
    """The platform's project: bills the jobs and holds the control dataset."""
    tenant_project: str | None = None
    """The project that holds the tenants' datasets; None: the platform's."""
    control_dataset: str = "tenants"
    location: str = "US"
    """Of all datasets and jobs of ours: a query reads one location only."""
    bigquery_emulator_host: str | None = Field(default=None, validation_alias="BIGQUERY_EMULATOR_HOST")
    bigquery_storage_emulator_host: str | None = Field(default=None, validation_alias="BIGQUERY_STORAGE_EMULATOR_HOST")
    bigquery_threads: int = 16
    """BigQuery's client blocks: so many statements at most are under way at once in a process."""
    bigquery_deadline_seconds: float = Field(default=15.0, gt=0)
    """For one short statement, which takes BigQuery 1-2 s, with all its retries; then the caller hears UNAVAILABLE."""
    bigquery_script_seconds: float = Field(default=45.0, gt=0)
    """For one script of up to seven statements, a transaction say, with all its retries. Shorter than the gateway waits."""
    stream_after_seconds: float = Field(default=600.0, ge=0)
    """Rows are streamed only to tables that are older, and were altered longer ago; BigQuery may lose or refuse them before that."""

    dml_statements_per_10_seconds: int = Field(default=25, ge=5)
    """This process's budget of statements that change one table. BigQuery takes 25 from all processes together: divide by the replicas."""

    kms_emulator_host: str | None = Field(default=None, validation_alias="KMS_EMULATOR_HOST")
    kms_key: str = "projects/convergence-local/locations/global/keyRings/convergence/cryptoKeys/tenant-credentials-key"
    kms_deadline_seconds: float = 5.0

    admin_keys: tuple[AdminKey, ...] = ()
    """JSON, e.g. `[{"role": "scheduler", "sha256": "..."}]`; none: every admin call is refused."""
    reserved_tenant_ids: tuple[str, ...] = ()
    """Names no tenant may have, besides the control dataset's and BigQuery's own."""
    key_cache_seconds: float = Field(default=3.0, ge=0, le=4.5)
    """How long an API key's answer is remembered. A revoked key must be dead within 5 seconds."""
    key_cache_size: int = Field(default=10_000, ge=1)
    """How many keys' answers are remembered, and as many refusals."""
    failed_attempts_per_minute: int = 100
    """Refused keys an address may show in a minute before it is told to wait."""

    lease_seconds: float = 60.0
    """How long a run holds its slot without renewing it; it renews three times in that time."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    configs_dir: Path = REPOSITORY / "configs"

    @property
    def datasets_project(self) -> str:
        """The project that holds the tenants' datasets."""
        return self.tenant_project or self.project
