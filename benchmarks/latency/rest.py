"""The proxy in front of BigQuery's REST interface."""

import http.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Final

from benchmarks.latency.asks import ask_of, upload_id
from benchmarks.latency.recorder import TENANT, Recorder
from tests.support.served import served

UPSTREAM_SECONDS: Final = 120.0
_HOP: Final = frozenset({"connection", "accept-encoding", "transfer-encoding", "content-length", "server", "date"})
"""Headers that are not passed on."""


@contextmanager
def rest_proxy(recorder: Recorder, *, upstream: str, callers: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """Serves until the end; gives for each caller its URL on a free port of loopback, for BIGQUERY_EMULATOR_HOST. `upstream`: host:port."""
    with ExitStack() as stack:
        yield {caller: stack.enter_context(_serving(recorder, upstream, caller)) for caller in callers}


@contextmanager
def _serving(recorder: Recorder, upstream: str, caller: str) -> Iterator[str]:
    class Handler(_Handler):
        pass

    Handler.recorder, Handler.upstream, Handler.caller, Handler.uploads = recorder, upstream, caller, {}
    with served(Handler) as address:
        yield f"http://{address}"


class _Handler(BaseHTTPRequestHandler):
    recorder: Recorder
    upstream: str
    caller: str
    uploads: dict[str, str]
    """Labels of uploads in parts, by id."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        ask = ask_of(self.command, self.path, body, self.uploads)
        by = f"{self.caller} as {TENANT}" if self.headers.get("Authorization") else self.caller
        with self.recorder.passing(ask, by) as status:
            status[0], headers, answer = self._forwarded(body)
        if begun := upload_id(headers.get("Location", headers.get("location", ""))):
            self.uploads[begun] = ask.name
        self.send_response(status[0])
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        # With the caller's Host: the address at which an upload goes on is made of it, and must be ours.
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        with closing(http.client.HTTPConnection(self.upstream, timeout=UPSTREAM_SECONDS)) as connection:
            connection.request(self.command, self.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            return answer.status, kept, answer.read()
