"""`python -m localcloud.kms`: Cloud KMS on a laptop. The real gRPC API over AES-256-GCM and RSA, its keys in two files."""

import argparse
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from localcloud.kms.keyring import KeyRing
from localcloud.kms.servicer import SERVICE, KmsHandlers
from localcloud.kms.signing import SigningKeys
from localcloud.settings import LocalSettings
from services.platform.environment.reading import read

THREADS = 8
STOP_GRACE = 5.0  # seconds for calls in flight


def serve(address: str, keys: KeyRing, signing: SigningKeys) -> tuple[grpc.Server, int]:
    """A started server and its port (`address` may name port 0). Raises `RuntimeError` if the port is taken."""
    server = grpc.server(ThreadPoolExecutor(THREADS), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([KmsHandlers(keys, signing)])
    status = health.HealthServicer()
    for name in ("", SERVICE):
        status.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    port = server.add_insecure_port(address)
    server.start()
    return server, port


def main() -> None:
    """Serves until SIGTERM or SIGINT, then lets calls in flight end and exits with status 0."""
    options = _arguments()
    try:
        keys = KeyRing(options.data_dir / "keyring.json")
        signing = SigningKeys(options.data_dir / "signing.json")
    except ValueError as error:
        sys.exit(str(error))
    for name in options.key:
        keys.ensure(name)
    for name in options.signing_key:
        signing.ensure(name)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    server, _ = serve(f"{options.host}:{options.port}", keys, signing)
    stop.wait()
    server.stop(STOP_GRACE).wait()


def _arguments() -> argparse.Namespace:
    settings = read(LocalSettings)
    parser = argparse.ArgumentParser(prog="python -m localcloud.kms", description="Cloud KMS on a laptop.")
    parser.add_argument("--host", default=settings.host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=settings.kms_port, help="gRPC port (%(default)s)")
    parser.add_argument("--data-dir", type=Path, default=settings.state_dir / "kms", help="where the keys are kept (%(default)s)")
    parser.add_argument(
        "--key", action="append", default=[settings.kms_key, *settings.more_kms_keys], help="one more key that exists from the start"
    )
    parser.add_argument("--signing-key", action="append", default=[settings.signing_key], help="the same, of a key that signs")
    return parser.parse_args()
