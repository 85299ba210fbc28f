"""`python -m localcloud.azure`: Blob Storage and Entra's token endpoint at one address, over TLS, with all data in one folder.

- `/{account}/{container}/{blob}`: Blob Storage.
- `/{directory id}/oauth2/v2.0/token`: tokens for applications.
- `/_admin/seed` takes a `directory.Seed`, `/_admin/faults` a list of error codes for the next requests; `/_admin/requests` answers which
  requests were served. They are for this machine only.
"""

import argparse
import contextlib
import json
import re
import secrets
import signal
import ssl
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import ValidationError

from localcloud.azure.blob_service import AzureRequest, BlobService
from localcloud.azure.blobs import BlobStore
from localcloud.azure.directory import EntraDirectories, Seed
from localcloud.azure.replies import AzureReply, BlobRefused, Slice, json_reply
from localcloud.azure.tokens import EntraTokens, SignInRefused
from localcloud.certs import mint
from localcloud.files import write_private
from localcloud.settings import LocalSettings
from services.platform.environment.reading import read

ADMIN: Final = "/_admin/"
KEPT: Final = 10_000
"""Requests that are remembered."""
COPY: Final = 2**20
"""Bytes that are sent at once."""
_TOKEN: Final = re.compile(r"/([0-9a-fA-F-]{36})/(oauth2/v2\.0/token|v2\.0/\.well-known/openid-configuration)")


class LocalAzure:
    """Answers all requests."""

    def __init__(self, folder: Path) -> None:
        """Opens the data in `folder`; makes what is not there."""
        key = folder / "token.key"
        if not key.exists():
            write_private(key, secrets.token_hex(32))
        self.directories = EntraDirectories(folder / "directories.json")
        self.tokens = EntraTokens(self.directories, bytes.fromhex(key.read_text()))
        self.store = BlobStore(folder / "blobs")
        self.requests: deque[str] = deque(maxlen=KEPT)
        """Of Blob Storage and the token endpoint: method, path and status."""
        self.faults: deque[str] = deque()
        """Codes with which the next requests to Blob Storage are refused, e.g. ServerBusy."""
        self._blobs = BlobService(self.store, self.directories, self.tokens)

    def answer(self, request: AzureRequest, address: str) -> AzureReply:
        """The reply. `address`: ours, as the caller knows it."""
        if request.path.startswith(ADMIN):
            return self._administer(request)
        reply = self._served(request, address)
        self.requests.append(f"{request.method} {request.path} {reply.status}")
        return reply

    def _served(self, request: AzureRequest, address: str) -> AzureReply:
        try:
            if found := _TOKEN.fullmatch(request.path):
                return json_reply(self._sign_in(found[1].lower(), found[2], request, address))
            if self.faults:
                raise BlobRefused(self.faults.popleft())
            return self._blobs.answer(request)
        except SignInRefused as refused:
            return json_reply(refused.body, refused.status)
        except BlobRefused as refused:
            return refused.reply

    def _sign_in(self, directory_id: str, what: str, request: AzureRequest, address: str) -> dict[str, Any]:
        if request.method == "GET":
            return dict(self.tokens.discovery(directory_id, address))
        return self.tokens.grant(directory_id, dict(parse_qsl(request.body.decode(), keep_blank_values=True)))

    def _administer(self, request: AzureRequest) -> AzureReply:
        match request.method, request.path.removeprefix(ADMIN):
            case "PUT", "seed":
                try:
                    self.directories.seed(Seed.model_validate_json(request.body))
                except ValidationError as error:
                    return json_reply({"error": str(error)}, 400)
                return json_reply({})
            case "PUT", "faults":
                self.faults.extend(json.loads(request.body))
                return json_reply({})
            case "GET", "requests":
                return json_reply(list(self.requests))
            case _:
                return json_reply({"error": "use PUT seed, PUT faults or GET requests"}, 404)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 2**16
    azure: ClassVar[LocalAzure]

    def setup(self) -> None:
        # Here and not where it is accepted, so that a client that does not go on holds up no other.
        self.request.do_handshake()
        super().setup()

    def _serve(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = AzureRequest(
            method=self.command,
            path=unquote(url.path),
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        self._send(self.azure.answer(request, f"https://{self.headers.get('Host')}"))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the base class's names

    def _send(self, reply: AzureReply) -> None:
        body = reply.body
        self.send_response(reply.status)
        headers = {"x-ms-request-id": str(uuid.uuid4()), "x-ms-version": self.headers.get("x-ms-version", "2025-05-05"), **reply.headers}
        headers.setdefault("Content-Length", str(body.length if isinstance(body, Slice) else len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if isinstance(body, Slice):
            with body.file as file:
                file.seek(body.start)
                left = body.length
                while left and (chunk := file.read(min(left, COPY))):
                    self.wfile.write(chunk)
                    left -= len(chunk)
        elif self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Requests are not logged: they carry secrets."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up whenever they like."""


@contextlib.contextmanager
def serving_azure(azure: LocalAzure, host: str, port: int, certs: Path) -> Iterator[int]:
    """Serves until the end of the block; gives the port (`port` may be 0). `certs`: a folder of `localcloud.certs`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / "azure.pem", certs / "azure.key")
    server = _Server((host, port), type("AzureHandler", (_Handler,), {"azure": azure}))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        azure.store.close()


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = read(LocalSettings)
    parser = argparse.ArgumentParser(prog="python -m localcloud.azure", description="Azure on a laptop.")
    parser.add_argument("--host", default=settings.host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=settings.azure_port, help="port, https (%(default)s)")
    parser.add_argument("--data-dir", type=Path, default=settings.state_dir / "azure", help="where everything is kept (%(default)s)")
    parser.add_argument("--certs-dir", type=Path, default=settings.certs_dir, help="certificates (%(default)s)")
    options = parser.parse_args()
    if not (options.certs_dir / "azure.pem").exists():
        mint(options.certs_dir)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    with serving_azure(LocalAzure(options.data_dir), options.host, options.port, options.certs_dir):
        stop.wait()
