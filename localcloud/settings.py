"""Ports and state directory of a local stack. Every value is a setting, so that two stacks can run side by side."""

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from localcloud.ports import free_ports
from services.platform.environment.reading import EnvironmentSettings
from services.platform.environment.values import DatasetName, EmulatorUrl, Host, KeyName, Port, ProjectId
from services.platform.identifiers import LocationName

ENV_PREFIX = "LOCALCLOUD_"
SERVICES = ("auth", "credentials", "scheduler", "executor")
SAMPLE_TENANT = "acme_corp"


class LocalSettings(EnvironmentSettings):
    """Read from the environment with the prefix `LOCALCLOUD_`, e.g. `LOCALCLOUD_GATEWAY_PORT=8081`, or given as keywords."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    host: Host = Field(default="127.0.0.1", description="Address that every process listens on.")
    bigquery_port: Port = Field(default=9050, description="BigQuery, REST.")
    bigquery_storage_port: Port = Field(default=9060, description="BigQuery Storage Read API, gRPC.")
    bigquery_threads: int | None = Field(
        default=None,
        gt=0,
        description="Of one statement in BigQuery (default: one, which takes the least CPU; one for each core while something large runs).",
    )
    kms_port: Port = Field(default=9070, description="KMS, gRPC.")
    google_sts_port: Port = Field(default=9085, description="Google's Security Token Service, HTTP.")
    google_sts_url: EmulatorUrl | None = Field(default=None, description="Where its callers find it, if not at its host and port.")
    google_accounts_port: Port = Field(default=9095, description="The keys of the jobs' identity tokens, HTTP; only with scheduler_oidc.")
    aws_port: Port = Field(default=9080, description="S3, STS and IAM, HTTP.")
    azure_port: Port = Field(default=9090, description="Azure's Blob Storage and token endpoint, https.")
    auth_port: Port = Field(default=50051, description="auth, gRPC with mTLS.")
    credentials_port: Port = Field(default=50052, description="credentials, gRPC with mTLS.")
    scheduler_port: Port = Field(default=50053, description="scheduler, gRPC with mTLS.")
    executor_port: Port = Field(default=50054, description="executor, gRPC with mTLS.")
    gateway_port: Port = Field(default=8080, description="The gateway: REST and native gRPC.")
    console_port: Port = Field(default=8090, description="The console, for browsers.")
    envoy_admin_port: Port = Field(default=9901, description="Envoy's admin page.")
    gateway_metrics_port: Port = Field(default=9105, description="The gateway, Envoy's statistics for Prometheus.")
    auth_metrics_port: Port = Field(default=9101, description="auth, Prometheus metrics.")
    credentials_metrics_port: Port = Field(default=9102, description="credentials, Prometheus metrics.")
    scheduler_metrics_port: Port = Field(default=9103, description="scheduler, Prometheus metrics.")
    executor_metrics_port: Port = Field(default=9104, description="executor, Prometheus metrics.")
    state_dir: Path = Field(default=Path(".local"), description="Data, keys, certificates and logs of this stack.")
    cache_dir: Path = Field(default=Path(".cache"), description="What any number of stacks may share and anyone may delete.")
    more_kms_keys: tuple[KeyName, ...] = Field(default=(), description="JSON list: full names of keys that the KMS has besides its own.")
    project: ProjectId = Field(default="convergence-local", description="The platform's project.")
    location: LocationName = Field(default="US", description="Where datasets are made.")
    control_dataset: DatasetName = Field(default="tenants", description="The control dataset.")
    lease_seconds: int = Field(default=30, gt=0, description="A run's slot frees itself after so long without a sign of life.")
    sample_rows: int = Field(default=2000, ge=0, description="Rows a day of the sample tenant's billing export.")
    cloud_scheduler: bool = Field(default=True, description="Whether the jobs of Cloud Scheduler fire by themselves.")
    scheduler_every: float | None = Field(default=None, gt=0, description="Seconds between firings of each job, instead of its schedule.")
    scheduler_oidc: bool = Field(default=False, description="Whether the jobs send an identity token instead of the admin key.")
    start_timeout: float = Field(default=60, gt=0, description="Seconds a process may take to become ready.")
    stop_grace: float = Field(default=10, ge=0, description="Seconds a process may take to end after SIGTERM before it is killed.")

    @field_validator("state_dir", "cache_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.absolute()

    @property
    def kms_key(self) -> str:
        """Resource name of the key that encrypts tenants' credentials."""
        return f"projects/{self.project}/locations/global/keyRings/convergence/cryptoKeys/tenant-credentials-key"

    @property
    def signing_key(self) -> str:
        """Resource name of the key that signs identity tokens."""
        return f"projects/{self.project}/locations/global/keyRings/convergence/cryptoKeys/identity-tokens-key"

    @property
    def scheduler_account(self) -> str:
        """The service account whose identity tokens the jobs send."""
        return f"convergence-jobs@{self.project}.iam.gserviceaccount.com"

    @property
    def certs_dir(self) -> Path:
        """Where `certs.mint` writes, and the services' `CONVERGENCE_TLS_DIR`."""
        return self.state_dir / "certs"

    @property
    def logs_dir(self) -> Path:
        """One `{process}.log` a process."""
        return self.state_dir / "logs"

    @property
    def env_file(self) -> Path:
        """The file with the variables that a caller needs; contains the admin key."""
        return self.state_dir / "env"

    @property
    def sample_credentials(self) -> Path:
        """The sample tenant's credentials, as the body of a request. They belong to the tenant, so they are beside the state directory."""
        return self.state_dir.with_name(f"{self.state_dir.name}-sample") / "credentials.json"

    @property
    def sample_aws_credentials(self) -> Path:
        """The same for AWS."""
        return self.sample_credentials.with_name("aws_credentials.json")

    @property
    def sample_azure_credentials(self) -> Path:
        """The same for Azure."""
        return self.sample_credentials.with_name("azure_credentials.json")

    def port(self, name: str) -> int:
        """The port that setting `{name}_port` holds, e.g. of `auth` or `auth_metrics`."""
        port: int = getattr(self, f"{name}_port")
        return port

    def address(self, name: str) -> str:
        """`host:port` of a process, as its callers use it."""
        return f"{self.host}:{self.port(name)}"

    @classmethod
    def on_free_ports(cls, state_dir: Path, **settings: object) -> Self:
        """Settings for another stack: every port is free at this moment, all state is under `state_dir`."""
        names = [name for name in cls.model_fields if name.endswith("_port") and name not in settings]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        return cls.model_validate({"state_dir": state_dir, **ports, **settings})
