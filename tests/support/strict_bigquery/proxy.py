"""The rules over HTTP: each request is parsed, judged, and passed to the emulator."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler

from tests.support.served import served
from tests.support.strict_bigquery.refused import Lost, Refused
from tests.support.strict_bigquery.request import Request, read
from tests.support.strict_bigquery.rules import StrictBigQuery
from tests.support.strict_bigquery.script import CHANGES, Kind, parse

UPSTREAM_SECONDS = 60.0
type Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def strict_bigquery(rules: StrictBigQuery) -> Iterator[StrictBigQuery]:
    """The proxy on a free port of loopback; `url` is for BIGQUERY_EMULATOR_HOST. One more port for each account of `iam`, and for each of
    `callers`; who comes by `url` may do everything.
    """
    with ExitStack() as stack:
        rules.url = stack.enter_context(_serving(rules, ""))
        names = (*(rules.iam.roles if rules.iam else ()), *rules.callers)
        rules.urls = {name: stack.enter_context(_serving(rules, name)) for name in names}
        yield rules


@contextmanager
def _serving(rules: StrictBigQuery, caller: str) -> Iterator[str]:
    class Handler(_Handler):
        proxy, account = rules, caller

    with served(Handler) as address:
        yield f"http://{address}"


class _Handler(BaseHTTPRequestHandler):
    proxy: StrictBigQuery
    account: str
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(self.proxy.delay())
        request = read(self.command, self.path, body)
        try:
            with self.proxy.passing(request, self.account):
                answer = self._answered(request, body)
        except Lost as lost:
            self.close_connection = True
            with suppress(ConnectionError):
                self.wfile.write(lost.said)
            return
        except Refused as refused:
            self.proxy.refused[refused.reason] += 1
            answer = _refusal(refused)
        else:
            if _changes_rows(request) and self.proxy.loses():
                self.proxy.refused["lost"] += 1
                self.close_connection = True
                return
        self._reply(*answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _answered(self, request: Request, body: bytes) -> Answer:
        """What the emulator answers. Raises Refused."""
        iam = self.proxy.iam if self.account else None
        if iam is not None:
            request.check(iam, self.account)
        if request.is_new_job:
            self.proxy.check_job()
            self.proxy.billing.take(request.sql, body)
        if request.is_poll:
            self.proxy.check_poll()
        if request.is_stream and not self.proxy.stream(request.full_table):
            return 200, {"Content-Type": "application/json"}, b'{"kind": "bigquery#tableDataInsertAllResponse"}'
        with self.proxy.statement(request.sql, request.default_dataset.rpartition(".")[2]):
            answer = self._forwarded(body)
        if answer[0] < http.client.BAD_REQUEST:
            self._done(request)
        return answer

    def _done(self, request: Request) -> None:
        if self.proxy.iam is not None:
            request.apply(self.proxy.iam, self.account)
        if request.makes_table:
            self.proxy.table_made(f"{request.dataset}.{request.body['tableReference']['tableId']}")
        elif request.table and request.method == "DELETE":
            self.proxy.table_dropped(request.full_table)

    def _forwarded(self, body: bytes) -> Answer:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection", "accept-encoding"}}
        with closing(http.client.HTTPConnection(self.proxy.upstream, timeout=UPSTREAM_SECONDS)) as connection:
            connection.request(self.command, self.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() in {"content-type", "location", "range"}}
            return answer.status, kept, self.proxy.billing.shown(answer.read())

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        # The caller may be gone by now.
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)


def _changes_rows(request: Request) -> bool:
    return any(one.kind in CHANGES - {Kind.DDL} for one in parse(request.sql, ""))


def _refusal(refused: Refused) -> Answer:
    error = {"reason": refused.reason, "message": refused.message}
    body = {"error": {"code": refused.code, "message": refused.message, "errors": [error]}}
    return refused.code, {"Content-Type": "application/json"}, json.dumps(body).encode()
