"""Settings, read once from the environment at start.

Every variable begins with `CONVERGENCE_`, except those that Google's own tools define and those of emulators. The same code runs on GCP and
on a laptop: on a laptop the `*_EMULATOR_HOST` variables point to emulators, and nothing else differs.
"""

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.platform.environment.reading import EnvironmentSettings
from services.platform.environment.values import (
    DatasetName,
    EmulatorAddress,
    EmulatorUrl,
    KeyName,
    Listen,
    PeerAddress,
    Port,
    ProjectId,
    SpiffeId,
    matching,
    name_for_people,
)
from services.platform.identifiers import LocationName, key_fits
from services.platform.oidc.trusted_issuers import TrustedIssuer
from services.platform.plan import DEFAULT_PLAN, PLAN_LIMITS, PLAN_RANGES, PlanLimits

REPOSITORY = Path(__file__).resolve().parents[2]

FOR_EVER = 0
"""Days. What has grown for ever until a release goes on so by default: no release deletes what the one before has kept."""


def _at_least(days: int, why: str, *, or_for_ever: bool = False) -> AfterValidator:
    def check(value: int) -> int:
        if value >= days or (or_for_ever and value == FOR_EVER):
            return value
        alternative = f", or {FOR_EVER} to keep them for ever" if or_for_ever else ""
        raise ValueError(f"{value} days are too few: {why}. Use {days} or more{alternative}.")

    return AfterValidator(check)


type RunDays = Annotated[
    int,
    _at_least(35, "a run must stay known for longer than it may wait in the queue, and its month be over", or_for_ever=True),
]
type QuotaDays = Annotated[int, _at_least(35, "the limits of a month are counted over all of its days")]
type ReportDays = Annotated[int, _at_least(31, "operators see the runs of the last month")]
type AuditDays = Annotated[int, _at_least(7, "an entry that was sent again days later must be found, or it is appended twice")]
"""How long records are kept, in days; the least is what the suite itself needs. docs/upgrading.md has the table."""


def _known_limits(given: object) -> object:
    if isinstance(given, Mapping) and (strange := sorted(name_for_people(str(name)) for name in given if name not in PLAN_LIMITS)):
        raise ValueError(f"there is no limit {', '.join(strange)}: use {', '.join(PLAN_LIMITS)}")
    return given


def _possible_limits(limits: PlanLimits) -> PlanLimits:
    for name, (least, most) in PLAN_RANGES.items():
        if not least <= getattr(limits, name) <= most:
            raise ValueError(f"{name}: give a number from {least} to {most}")
    return limits


class AdminKey(BaseModel, frozen=True, extra="forbid"):
    """One admin key, by its SHA-256. Two of a role may be active at once, so that a key can be rotated without a gap."""

    role: Literal["provisioner", "scheduler"]
    sha256: Annotated[str, matching(r"[0-9a-f]{64}", "give the SHA-256 of the key as 64 hexadecimal digits in lower case")]


class ServiceSettings(EnvironmentSettings):
    """Settings of all four services. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="CONVERGENCE_", frozen=True, extra="ignore", populate_by_name=True)

    listen: Listen = "0.0.0.0:50051"
    """host:port of the gRPC server."""
    metrics_port: Port | None = None
    """Serves Prometheus metrics, and `/healthz` for probes, over plain HTTP on the host of `listen`; None: off."""
    build_commit: Annotated[str, matching(r"[\w.-]{1,40}", "give a commit, e.g. 84398f92")] = "unknown"
    """The commit that this process was built from, for `convergence_build_info`; the image sets it."""
    tls_dir: Path = Path("/etc/convergence/tls")
    """Directory with `ca.pem`, `{service}.pem` and `{service}.key`."""
    tls_reload_seconds: float = Field(default=15.0, gt=0)
    """How often the files in `tls_dir` are read again: renewed certificates are used without a restart."""
    spiffe_id: SpiffeId | None = None
    """SPIFFE ids of the services, e.g. `spiffe://prod.example.com/ns/convergence/sa/{service}`: one of them, in a caller's certificate, is
    as good as the DNS name `{service}.convergence.internal`. None: DNS names only.
    """
    drain_seconds: float = Field(default=0.0, ge=0, le=30)
    """How long a stopping service goes on serving after its health has become NOT_SERVING, before `grace_seconds` begin: so long callers,
    which look every second, need to send their next calls to another replica. 0: there is none.
    """
    grace_seconds: float = Field(default=20.0, ge=0)
    """How long a stopping service lets calls and runs finish. Keep it below the platform's own limit (Kubernetes: 30)."""

    auth_address: PeerAddress = "auth:50051"
    credentials_address: PeerAddress = "credentials:50052"
    scheduler_address: PeerAddress = "scheduler:50053"
    executor_address: PeerAddress = "executor:50054"
    peer_deadline_seconds: float = Field(default=35.0, gt=0)
    """Deadline of one call between services: as long as two short statements with their retries, shorter than the gateway's."""

    project: ProjectId = Field(default="convergence-local", validation_alias="GOOGLE_CLOUD_PROJECT")
    """The platform's project: pays for the jobs and holds the control dataset."""
    tenant_project: ProjectId | None = None
    """The project that holds the tenants' datasets; None: the platform's."""
    control_dataset: DatasetName = "tenants"
    location: LocationName = "US"
    """Location of the control dataset, of the jobs that read it, and of tenants' datasets unless the tenant has another."""
    tenant_locations: Mapping[LocationName, KeyName] = {}
    """JSON, e.g. `{"EU": "projects/P/locations/europe/keyRings/R/cryptoKeys/K"}`: the other locations that a tenant may have, each with the
    full name of the KMS key there, which encrypts the credentials of its tenants. Leave one in while a tenant has it.
    """
    bigquery_emulator_host: EmulatorUrl | None = Field(default=None, validation_alias="BIGQUERY_EMULATOR_HOST")
    bigquery_storage_emulator_host: EmulatorAddress | None = Field(default=None, validation_alias="BIGQUERY_STORAGE_EMULATOR_HOST")
    bigquery_threads: int = Field(default=16, ge=1)
    """Size of the thread pool for BigQuery's blocking client: at most so many statements are in flight in a process."""
    bigquery_deadline_seconds: float = Field(default=15.0, gt=0)
    """Deadline of one short statement (1-2 s at BigQuery), retries included; then the caller gets UNAVAILABLE."""
    bigquery_script_seconds: float = Field(default=45.0, gt=0)
    """Deadline of one script of up to seven statements, such as a transaction, retries included. Shorter than the gateway's."""
    stream_after_seconds: float = Field(default=600.0, ge=0)
    """Rows are streamed only to tables created and last altered longer ago than this; BigQuery may lose or refuse them before."""

    query_usd_per_tib: float = Field(default=6.25, ge=0)
    """BigQuery's on-demand price, for what statements and runs cost and dry runs estimate; 0 where queries run in reserved slots."""

    dml_statements_per_10_seconds: int = Field(default=25, ge=5)
    """This process's budget of DML statements on one table. BigQuery accepts 25 from all processes together: set 25 / number of
    replicas. `bigquery/dml_turns.py` says how tenants share it.
    """

    kms_emulator_host: EmulatorAddress | None = Field(default=None, validation_alias="KMS_EMULATOR_HOST")
    kms_key: KeyName = "projects/convergence-local/locations/global/keyRings/convergence/cryptoKeys/tenant-credentials-key"
    kms_deadline_seconds: float = Field(default=5.0, gt=0)

    aws_emulator_host: EmulatorUrl | None = Field(default=None, validation_alias="AWS_EMULATOR_HOST")
    """An emulator of S3 and STS, e.g. http://127.0.0.1:9080; None: AWS."""
    azure_emulator_host: EmulatorUrl | None = Field(default=None, validation_alias="AZURE_EMULATOR_HOST")
    """An emulator of Blob Storage and of the token endpoint, e.g. https://127.0.0.1:9090; None: Azure."""
    google_sts_emulator_host: EmulatorUrl | None = Field(default=None, validation_alias="GOOGLE_STS_EMULATOR_HOST")
    """An emulator of Google's Security Token Service; None: Google's."""
    emulator_ca: Path | None = Field(default=None, validation_alias="CLOUD_EMULATOR_CA")
    """The certificate authority of emulators that speak TLS."""

    notify_allow_private_targets: bool = False
    """True allows notifications to private addresses, names and ports: for a laptop, never in production with tenants."""
    notify_ports: tuple[Port, ...] = (443,)
    """The ports that notifications may be posted to."""

    admin_keys: tuple[AdminKey, ...] = ()
    """JSON, e.g. `[{"role": "scheduler", "sha256": "..."}]`; empty: every admin call is refused."""
    oidc: tuple[TrustedIssuer, ...] = ()
    """JSON: issuers whose tokens (`Authorization: Bearer`) are as good as an admin key, with rules that map them to roles; empty: none."""
    token_secrets: tuple[Annotated[SecretStr, Field(min_length=32)], ...] = ()
    """JSON list of secrets of 32 characters or more, the same in all replicas of a service. The first signs page tokens (and, in auth,
    session tokens), all verify them, so that a secret is rotated by putting a new one in front. Empty: every process makes its own, which
    suits a single replica only, and auth issues no session tokens.
    """
    plan_defaults: Annotated[PlanLimits, BeforeValidator(_known_limits), AfterValidator(_possible_limits)] = DEFAULT_PLAN
    """JSON, e.g. `{"max_schedules": 500}`: what a tenant may make grow where its plan says nothing."""
    own_resources: tuple[str, ...] = ()
    """What else is this installation's and no tenant's: GCP projects (ids and numbers), AWS account ids and buckets, Azure directories,
    subscriptions and storage accounts. The projects of these settings and of the KMS key are known.
    """
    reserved_tenant_ids: tuple[str, ...] = ()
    """Names that no tenant may have, besides the control dataset's and BigQuery's own."""
    key_cache_seconds: float = Field(default=3.0, ge=0, le=4.5)
    """How long the holder of an API key is used without asking auth again. A revoked key must stop working within 5 seconds."""
    key_cache_size: int = Field(default=10_000, ge=1)
    """How many keys are cached, and as many refusals."""
    key_request_share: float = Field(default=0.8, gt=0, le=1)
    """The part of a tenant's `requests_per_minute` that one of its keys may use while another is in use, too."""
    admin_requests_per_minute: int = Field(default=6_000, ge=1)
    """Calls a minute of one admin key to a process; above it, calls get RESOURCE_EXHAUSTED."""

    audit_flush_seconds: float = Field(default=2.0, gt=0, le=60)
    """How often what was recorded for the audit log is sent to auth; a process that is killed loses at most that much."""

    report_flush_seconds: float = Field(default=2.0, gt=0, le=60)
    """How often what operators look at (`tenant_runs`, `platform_events`) is sent; a process that is killed loses at most that much."""

    report_days: ReportDays = 90
    """How long what operators look at (`tenant_runs`, `platform_events`) is kept. The bootstrap sets it."""
    run_days: RunDays = FOR_EVER
    """How long the records of ended runs are kept: in tenants' datasets, and a month longer in `scheduled_pipeline_runs`; 0: for ever."""

    otlp_endpoint: Annotated[str, matching(r"(https?://[^/\s]+/?)?", "give a URL without a path, e.g. http://collector:4317")] = ""
    """Where an OpenTelemetry collector takes traces by OTLP over gRPC: http://host:port, or https with TLS. Empty: no traces."""
    otlp_headers: Mapping[str, SecretStr] = {}
    """JSON: headers that the collector asks for, e.g. `{"authorization": "..."}`. A secret."""

    lease_seconds: float = Field(default=60.0, gt=0)
    """Lease of a run's reservation; the executor renews it every third of this."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    configs_dir: Path = REPOSITORY / "configs"

    def keys_for(self, purpose: str) -> tuple[bytes, ...]:
        """A key of 32 bytes for one purpose, derived from each of `token_secrets`. The first signs, all verify."""
        return tuple(hmac.digest(secret.get_secret_value().encode(), purpose.encode(), "sha256") for secret in self.token_secrets)

    @model_validator(mode="after")
    def _keys_are_where_the_data_are(self) -> Self:
        for location, key in self.tenant_locations.items():
            if not key_fits(key, location):
                raise ValueError(f"CONVERGENCE_TENANT_LOCATIONS: {key} is not in {location}; name a key of a key ring there")
        return self

    @field_validator("tenant_locations", mode="before")
    @classmethod
    def _each_once(cls, given: object) -> object:
        if isinstance(given, Mapping) and len({str(name).upper() for name in given}) < len(given):
            raise ValueError("it names a location twice: leave one key for each")
        return given

    @property
    def locations(self) -> tuple[str, ...]:
        """Those that a tenant may have; this installation's first."""
        return (self.location, *(name for name in self.tenant_locations if name != self.location))

    @property
    def kms_keys(self) -> tuple[str, ...]:
        """The full names of the keys that credentials may be encrypted with; this installation's first."""
        return tuple(dict.fromkeys((self.kms_key, *self.tenant_locations.values())))

    def kms_key_in(self, location: str) -> str:
        """The key of a tenant whose dataset is in `location`. Where none is named for it, the installation's."""
        return self.tenant_locations.get(location, self.kms_key)

    @property
    def datasets_project(self) -> str:
        """The project that holds the tenants' datasets."""
        return self.tenant_project or self.project
