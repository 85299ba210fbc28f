"""What the gateway is set up with."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.platform.environment.reading import EnvironmentSettings
from services.platform.environment.values import Host, Origins, Port, ProjectId, SpiffeId, matching

ROOT = Path(__file__).resolve().parents[1]
MOST_A_MINUTE = 2**31 - 1
"""What Envoy counts to."""
MIN_IDLE_SECONDS = 60
"""Streams of watched runs send something four times in that time."""

type Collector = Annotated[
    str, matching(r"(https?://[^/:\s]+:\d+/?)?", "give a URL with a port and without a path, e.g. http://collector:4317")
]


class GatewaySettings(EnvironmentSettings):
    """Read from the environment with the prefix `GATEWAY_`, e.g. `GATEWAY_AUTH_HOST=auth`, or given as keywords."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True, extra="forbid")

    listen_host: Host = Field("127.0.0.1", description="Address for REST and native gRPC.")
    listen_port: Port = Field(8080, description="Port for REST and native gRPC.")
    admin_port: Port = Field(9901, description="Envoy's own pages, on loopback only.")
    stats_port: Port | None = Field(None, description="Port of Envoy's statistics at /metrics, for Prometheus, over plain HTTP. None: off.")
    auth_host: Host = "127.0.0.1"
    auth_port: Port = 50051
    credentials_host: Host = "127.0.0.1"
    credentials_port: Port = 50052
    scheduler_host: Host = "127.0.0.1"
    scheduler_port: Port = 50053
    executor_host: Host = "127.0.0.1"
    executor_port: Port = 50054
    tls_dir: Path = Field(Path(".local/certs"), description="Holds ca.pem, gateway.pem and gateway.key, towards the services.")
    spiffe_id: SpiffeId | None = Field(None, description="As CONVERGENCE_SPIFFE_ID of the services.")
    tls_certificate: Path | None = Field(None, description="Certificate chain towards clients, PEM. With it, clients speak TLS.")
    tls_key: Path | None = Field(None, description="Private key of `tls_certificate`, PEM.")
    tls_minimum: Literal["1.2", "1.3"] = Field("1.3", description="The oldest version of TLS that a client may speak.")
    descriptor: Path = Field(ROOT / "gen/descriptor.binpb", description="The descriptor set that `make gen` writes.")
    openapi: Path = Field(ROOT / "gen/openapi.json", description="Served as /openapi.json. `make gen` writes it.")
    pages_dir: Path = Field(ROOT / "configs/web", description="The files of /docs.")
    viewer: Path = Field(ROOT / "gen/web/rapidoc.js", description="The script of /docs. `make gen` fetches it.")
    cors_origin: Origins = Field(
        "http://localhost:3000,http://localhost:5173",
        description="Origins of frontends, comma-separated; browsers on other pages are kept out.",
    )
    timeout_seconds: int = Field(60, gt=0, description="A call that takes longer is answered 504.")
    request_seconds: int = Field(5, gt=0, description="A request that has not arrived completely by then is answered 408.")
    stream_seconds: int = Field(7200, gt=0, description="A stream that lasts longer is ended; its reader may open another.")
    connection_idle_seconds: int = Field(60, gt=0, description="A connection without a call in progress is closed after it.")
    max_connections: int = Field(10_000, gt=0, le=1_000_000, description="Connections beyond it are closed at once.")
    workers: int = Field(1, gt=0, le=256, description="Envoy's worker threads, each with connections of its own; see docs/google-cloud.md.")
    max_heap_mib: int = Field(224, ge=64, le=2**20, description="Envoy's heap; near it, calls are refused with 503.")
    xff_num_trusted_hops: int = Field(0, ge=0, le=16, description="Entries at the end of X-Forwarded-For that proxies of yours have added.")
    anonymous_per_minute: int = Field(600, gt=0, le=MOST_A_MINUTE, description="Calls that need no key, per client address.")
    large_bodies_per_minute: int = Field(30, gt=0, le=MOST_A_MINUTE, description="Bodies of more than 16 KiB, per client address.")
    all_large_bodies_per_minute: int = Field(
        600, gt=0, le=MOST_A_MINUTE, description="Bodies of more than 16 KiB, of all clients together."
    )
    documents_per_minute: int = Field(
        60, gt=0, le=MOST_A_MINUTE, description="Reads of /docs, /openapi.json and /descriptor.binpb, per client address."
    )
    all_documents_per_minute: int = Field(240, gt=0, le=MOST_A_MINUTE, description="Reads of these, of all clients together.")
    otlp_endpoint: Collector = Field("", description="As CONVERGENCE_OTLP_ENDPOINT of the services. Empty: no traces.")
    otlp_headers: dict[str, SecretStr] = Field({}, description="As CONVERGENCE_OTLP_HEADERS. A secret.")
    trace_ratio: float = Field(0.05, ge=0, le=1, description="The part of calls that is traced; those that start runs always are.")
    project: ProjectId = Field("convergence-local", description="As GOOGLE_CLOUD_PROJECT of the services; named beside traces in the log.")
    config_out: Path = Field(Path(".local/envoy.yaml"), description="Where the configuration is written for Envoy to read.")

    @field_validator("openapi", "pages_dir", "viewer", "tls_dir", "tls_certificate", "tls_key", "descriptor", "config_out")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.absolute()

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY: set both or neither")
        return self

    def upstream(self, service: str) -> tuple[str, int]:
        """Host and port of one of the four services."""
        return str(getattr(self, f"{service}_host")), int(getattr(self, f"{service}_port"))

    @property
    def idle_seconds(self) -> int:
        """How long a connection's stream may be silent."""
        return max(MIN_IDLE_SECONDS, self.timeout_seconds)

    @property
    def origins(self) -> tuple[str, ...]:
        """The frontends' origins."""
        return tuple(origin for part in self.cors_origin.split(",") if (origin := part.strip()))

    def document_out(self, name: str) -> Path:
        """Where a file that the gateway serves is written for Envoy to read."""
        return self.config_out.with_name(f"{self.config_out.stem}.{name}")

    def secret_out(self, name: str) -> Path:
        """Where the list of the files of a certificate is written for Envoy to read."""
        return self.config_out.with_name(f"{self.config_out.stem}.{name}.yaml")
