"""The gRPC channel to a gateway."""

from importlib.metadata import PackageNotFoundError, version

import grpc
from convergence.client.connection import Connection

KEEPALIVE_MS = 30_000
"""A watched run may say nothing for minutes; load balancers drop connections that are silent for one."""


def client_version() -> str:
    """Of the installed distribution."""
    try:
        return version("convergence-client")
    except PackageNotFoundError:
        return "0"


OPTIONS = (
    ("grpc.primary_user_agent", f"convergence-python/{client_version()}"),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Of a call that waits for its answer; gRPC would stop after two.
    ("grpc.http2.max_pings_without_data", 0),
    # A gateway that was away is tried again soon; gRPC's own longest pause is two minutes.
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.min_reconnect_backoff_ms", 250),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


def sync_channel(connection: Connection) -> grpc.Channel:
    """Plaintext or TLS, as the URL says."""
    if not connection.tls:
        return grpc.insecure_channel(connection.target, options=OPTIONS)
    return grpc.secure_channel(connection.target, grpc.ssl_channel_credentials(connection.roots()), options=OPTIONS)


def async_channel(connection: Connection) -> grpc.aio.Channel:
    """As `sync_channel`, for the running event loop."""
    if not connection.tls:
        return grpc.aio.insecure_channel(connection.target, options=OPTIONS)
    return grpc.aio.secure_channel(connection.target, grpc.ssl_channel_credentials(connection.roots()), options=OPTIONS)
