"""A tenant's BigQuery that answers what a test says: the REST API and CreateReadSession, with Google's own error payloads. Real clients
talk to it over real connections.
"""

import base64
import json
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.cloud.bigquery_storage_v1 import types

from services.clouds.access import CloudEndpoints

SESSION = "/google.cloud.bigquery.storage.v1.BigQueryRead/CreateReadSession"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A status and a body of REST; of gRPC a code and a message."""

    status: int = 200
    body: Mapping[str, Any] = field(default_factory=dict)


def denied(message: str, reason: str = "accessDenied", status: int = 403) -> Answer:
    """An error as BigQuery's REST API words it."""
    error = {"code": status, "message": message, "errors": [{"message": message, "domain": "global", "reason": reason}]}
    return Answer(status=status, body={"error": error})


@dataclass(kw_only=True)
class FakeGoogle:
    """What is answered, and what was asked."""

    answers: dict[str, Answer]
    """`METHOD path` (a regular expression, without the API's prefix) to the answer; the first that matches."""
    session: tuple[grpc.StatusCode, str] | None = None
    """The refusal of read sessions; None: they are opened."""
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    closed_to: set[str] = field(default_factory=set)
    """Identities that have no rights."""

    def answer(self, line: str, token: str) -> Answer:
        self.asked.append(line)
        self.tokens.add(token)
        if identity_of(token) in self.closed_to:
            return denied("Access Denied: User does not have permission.")
        return next(
            (answer for pattern, answer in self.answers.items() if re.fullmatch(pattern, line)), denied("Not found", "notFound", 404)
        )

    @contextmanager
    def serving(self) -> Iterator[CloudEndpoints]:
        """Where it listens."""
        rest = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=rest.serve_forever, args=(0.02,), daemon=True).start()
        storage = grpc.server(ThreadPoolExecutor(2))
        storage.add_generic_rpc_handlers((_Sessions(self),))
        port = storage.add_insecure_port("127.0.0.1:0")
        storage.start()
        try:
            yield CloudEndpoints(bigquery=f"http://127.0.0.1:{rest.server_port}", bigquery_storage=f"127.0.0.1:{port}")
        finally:
            rest.shutdown()
            rest.server_close()
            storage.stop(None)


def identity_of(token: str) -> str:
    """Whose token it is."""
    payload = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])


def _handler(fake: FakeGoogle) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0].removeprefix("/bigquery/v2/")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = fake.answer(f"{self.command} {path}", self.headers["Authorization"].removeprefix("Bearer "))
            body = json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - as the standard library calls it

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library calls it
            """Says nothing."""

    return Handler


class _Sessions(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped upstream
    def __init__(self, fake: FakeGoogle) -> None:
        self._fake = fake

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return (
            grpc.unary_unary_rpc_method_handler(self._open, types.CreateReadSessionRequest.deserialize, types.ReadSession.serialize)
            if details.method == SESSION
            else None
        )

    def _open(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._fake.asked.append(f"SESSION {request.parent} {request.read_session.table} {request.max_stream_count}")
        if self._fake.session:
            context.abort(*self._fake.session)
        return types.ReadSession(name=f"{request.parent}/locations/us/sessions/s")
