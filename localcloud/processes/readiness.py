"""Readiness checks, one for each protocol that the processes speak. Each is a `process.Ready`."""

import socket
import ssl
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from localcloud.processes.process import Ready

TIMEOUT = 1.0  # seconds a check may take
# A proxy in the developer's environment must not be used for loopback.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http_answers(url: str) -> Ready:
    """Ready when the URL answers, with any status."""

    def check() -> str | None:
        status, _ = _get(url)
        return None if status else f"{url} does not answer"

    return check


def https_answers(url: str, ca: Path) -> Ready:
    """Ready when the URL answers, with any status, and a certificate that the authority `ca` has signed."""

    def check() -> str | None:
        try:
            context = ssl.create_default_context(cafile=str(ca))
        except OSError:
            return f"there is no {ca}"
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        status, _ = _get(url, urllib.request.build_opener(*handlers))
        return None if status else f"{url} does not answer"

    return check


def grpc_serving(host: str, port: int, *, tls_dir: Path | None = None, server_name: str = "") -> Ready:
    """Ready when the standard health service answers SERVING for the whole server.

    With `tls_dir` the call goes over mTLS with the gateway's certificate, and the server's certificate must name `server_name`.
    """

    def check() -> str | None:
        # A channel whose first connection is refused waits a second before the next one; a socket fails at once.
        try:
            socket.create_connection((host, port), TIMEOUT).close()
        except OSError:
            return f"nothing listens on port {port}"
        with _channel(f"{host}:{port}", tls_dir, server_name) as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
            except grpc.RpcError as error:
                return f"its health check answers {error.code().name}: {error.details()}"
        status = answer.status
        return None if status == health_pb2.HealthCheckResponse.SERVING else f"its health is {_status_name(status)}"

    return check


def log_says(path: Path, text: str) -> Ready:
    """Ready when the text is in the process's log, for processes that do not listen."""

    def check() -> str | None:
        return None if path.exists() and text in path.read_text(errors="replace") else f"its log does not say that {text}"

    return check


def gateway_ready(gateway_url: str, admin_url: str) -> Ready:
    """Ready when Envoy is live, has found every replica healthy, and answers on its public port."""

    def check() -> str | None:
        if (status := _get(f"{admin_url}/ready")[0]) != HTTPStatus.OK:
            return f"its admin page answers {status or 'nothing'}"
        flags = [line.split("::") for line in _get(f"{admin_url}/clusters")[1].splitlines() if "::health_flags::" in line]
        if ill := sorted({cluster for cluster, *_, health in flags if health != "healthy"}):
            return f"no healthy replica yet of {', '.join(ill)}"
        status, _ = _get(f"{gateway_url}/healthz")
        return None if status == HTTPStatus.OK else f"/healthz answers {status or 'nothing'}"

    return check


def _get(url: str, opener: urllib.request.OpenerDirector = _http) -> tuple[int, str]:
    """Status and body; status 0 if there is no answer."""
    try:
        with opener.open(url, timeout=TIMEOUT) as answer:
            body: bytes = answer.read()
            return answer.status, body.decode()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, ""
    except OSError:
        return 0, ""


def _channel(address: str, tls_dir: Path | None, server_name: str) -> grpc.Channel:
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    if tls_dir is None:
        return grpc.insecure_channel(address, options=options)
    ca, key, certificate = ((tls_dir / name).read_bytes() for name in ("ca.pem", "gateway.key", "gateway.pem"))
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    return grpc.secure_channel(address, credentials, options=[*options, ("grpc.ssl_target_name_override", server_name)])


def _status_name(status: int) -> str:
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(status)
    return name
