"""Where the gateway's spans go, and how many there are."""

from typing import Any, Final
from urllib.parse import urlsplit

from gateway.public_rpcs import PublicRpc
from gateway.settings import GatewaySettings

HEADER: Final = "GATEWAY_OTLP_HEADER_{}"
"""The variable in which Envoy finds the value of a header, so that it stands in no file."""
SOCKETS: Final = "type.googleapis.com/envoy.extensions.transport_sockets"
STARTS_RUNS: Final = frozenset(
    {
        "/convergence.executor.v1.PipelineService/RunPipeline",
        "/convergence.scheduler.v1.SchedulerService/ProcessQueue",
    }
)
"""Few, and each run's own trace, which is always recorded, links to one of them."""


def trace_values(settings: GatewaySettings) -> dict[str, object]:
    """The placeholders of `configs/envoy/traces`; none without a collector."""
    if not settings.otlp_endpoint:
        return {}
    address = urlsplit(settings.otlp_endpoint)
    return {
        "COLLECTOR_HOST": address.hostname,
        "COLLECTOR_PORT": address.port,
        "COLLECTOR_SOCKET": _socket(address.scheme, address.hostname or ""),
        "COLLECTOR_HEADERS": [_set(name.lower(), f"%ENVIRONMENT({HEADER.format(at)})%") for at, name in enumerate(settings.otlp_headers)],
    }


def header_variables(settings: GatewaySettings) -> dict[str, str]:
    """The variables that Envoy is started with."""
    return {HEADER.format(number): value.get_secret_value() for number, value in enumerate(settings.otlp_headers.values())}


def sampling(rpc: PublicRpc, settings: GatewaySettings) -> dict[str, Any]:
    """For a route: the share of its calls that is recorded, if they come without a trace."""
    ratio = 1.0 if rpc.path in STARTS_RUNS else settings.trace_ratio
    # Envoy draws a number below TEN_THOUSAND, whatever the denominator.
    return {"random_sampling": {"numerator": round(ratio * 10_000), "denominator": "TEN_THOUSAND"}}


def _set(name: str, value: str) -> dict[str, Any]:
    return {"append": {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}


def _socket(scheme: str, host: str) -> dict[str, Any]:
    if scheme == "http":
        return {"name": "envoy.transport_sockets.raw_buffer", "typed_config": {"@type": f"{SOCKETS}.raw_buffer.v3.RawBuffer"}}
    names = [{"san_type": "DNS", "matcher": {"exact": host}}]
    checks = {"system_root_certs": {}, "match_typed_subject_alt_names": names}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{SOCKETS}.tls.v3.UpstreamTlsContext",
            "sni": host,
            "common_tls_context": {"alpn_protocols": ["h2"], "validation_context": checks},
        },
    }
