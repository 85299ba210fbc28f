"""A proxy in front of the BigQuery emulator that is as strict as BigQuery where the emulator is lenient.

What BigQuery does ("Quotas and limits", "Data manipulation language", "Multi-statement transactions"): of UPDATE, DELETE and MERGE it runs
two at a time on a table and lets twenty wait; it takes 25 DML statements in 10 seconds a table; it changes no rows that were just streamed;
of two transactions that change the same table it cancels one. And what networks do: they delay, and they lose answers of what was done.
"""

import http.client
import json
import random
import re
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from services.platform.sql import make_block

RUNNING, OUTSTANDING = 2, 22
RATE, WINDOW_SECONDS = 25, 10.0
_MUTATION = re.compile(r"\b(?:UPDATE|DELETE(?:\s+FROM)?|MERGE(?:\s+INTO)?)\s+([A-Za-z_]\w*)", re.IGNORECASE)
_STREAM = re.compile(r"/datasets/(?P<dataset>[^/]+)/tables/(?P<table>[^/]+)/insertAll")


class Refused(Exception):
    """An answer in BigQuery's own words."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


@dataclass(kw_only=True)
class StrictBigQuery:
    """The rules, and what goes wrong on the way. Statements begin when the emulator gets them."""

    upstream: str
    """host:port of the emulator."""
    rate: int = RATE
    lose_every: int = 0
    """Every so manieth statement that changes something is done, and its answer lost; 0: none is."""
    longest_delay: float = 0.0
    """Seconds; each request waits for a part of it."""
    refused: Counter[str] = field(default_factory=Counter)
    """How often a rule was applied, by reason; `lost` are the answers."""
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _begun: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _outstanding: Counter[str] = field(default_factory=Counter)
    _turns: dict[str, threading.Semaphore] = field(default_factory=lambda: defaultdict(lambda: threading.Semaphore(RUNNING)))
    _streamed: set[str] = field(default_factory=set)
    _in_transaction: set[str] = field(default_factory=set)
    _changes: int = 0
    _chance: random.Random = field(default_factory=lambda: random.Random(7))

    @contextmanager
    def statement(self, sql: str, dataset: str) -> Iterator[None]:
        """While the emulator runs it. Raises Refused, then nothing runs."""
        written = [f"{dataset}.{table}" for table in make_block("", sql, {}).written]
        mutated = sorted({f"{dataset}.{table}" for table in _MUTATION.findall(re.sub(r"--[^\n]*", " ", sql))})
        with ExitStack() as stack:
            self._check_rate(written)
            if streamed := self._streamed.intersection(mutated):
                told = f"UPDATE or DELETE statement over table {min(streamed)} would affect rows in the streaming buffer"
                raise Refused(400, "invalidQuery", f"{told}, which is not supported")
            if "BEGIN TRANSACTION" in sql:
                stack.enter_context(self._transaction(written))
            for table in mutated:
                stack.enter_context(self._turn(table))
            yield

    def streamed(self, dataset: str, table: str) -> None:
        """Rows of the table are in the streaming buffer from now on."""
        self._streamed.add(f"{dataset}.{table}")

    def loses(self) -> bool:
        """Whether the answer to this change gets lost."""
        with self._lock:
            self._changes += 1
            return bool(self.lose_every) and self._changes % self.lose_every == 0

    def delay(self) -> float:
        """Seconds for this request."""
        return self._chance.uniform(0, self.longest_delay)

    def _check_rate(self, written: Sequence[str]) -> None:
        now = time.monotonic()
        with self._lock:
            for table, count in Counter(written).items():
                begun = self._begun[table]
                while begun and begun[0] <= now - WINDOW_SECONDS:
                    begun.popleft()
                if len(begun) + count > self.rate:
                    raise Refused(403, "rateLimitExceeded", f"Exceeded rate limits: too many DML statements for table {table}")
            for table in written:
                self._begun[table].append(now)

    @contextmanager
    def _transaction(self, written: Sequence[str]) -> Iterator[None]:
        with self._lock:
            if met := self._in_transaction.intersection(written):
                raise Refused(400, "invalidQuery", f"Transaction is aborted due to concurrent update against table {min(met)}.")
            self._in_transaction.update(written)
        try:
            yield
        finally:
            with self._lock:
                self._in_transaction.difference_update(written)

    @contextmanager
    def _turn(self, table: str) -> Iterator[None]:
        with self._lock:
            if self._outstanding[table] >= OUTSTANDING:
                raise Refused(400, "resourcesExceeded", f"Too many DML statements outstanding against table {table}, limit is 20.")
            self._outstanding[table] += 1
        try:
            with self._turns[table]:
                yield
        finally:
            with self._lock:
                self._outstanding[table] -= 1


@contextmanager
def strict_bigquery(rules: StrictBigQuery) -> Iterator[StrictBigQuery]:
    """The proxy on a free port of loopback; `url` is for BIGQUERY_EMULATOR_HOST."""

    class Handler(_Handler):
        proxy = rules

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        rules.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield rules
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxy: StrictBigQuery
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(self.proxy.delay())
        sql, dataset = self._query(body)
        try:
            with self.proxy.statement(sql, dataset):
                answer = self._forwarded(body)
        except Refused as refused:
            self.proxy.refused[refused.reason] += 1
            told = {"reason": refused.reason, "message": refused.message}
            self._reply(
                refused.code,
                {"Content-Type": "application/json"},
                json.dumps({"error": {"code": refused.code, **told, "errors": [told]}}).encode(),
            )
            return
        if make_block("", sql, {}).written and self.proxy.loses():
            self.proxy.refused["lost"] += 1
            self.close_connection = True
            return
        self._reply(*answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _query(self, body: bytes) -> tuple[str, str]:
        if stream := _STREAM.search(self.path):
            self.proxy.streamed(stream["dataset"], stream["table"])
        if self.command != "POST" or not self.path.split("?")[0].endswith(("/queries", "/jobs")):
            return "", ""
        request = json.loads(body)
        query = request.get("configuration", {}).get("query", request)
        return query.get("query", ""), query.get("defaultDataset", {}).get("datasetId", "")

    def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection", "accept-encoding"}}
        with closing(http.client.HTTPConnection(self.proxy.upstream, timeout=60)) as connection:
            connection.request(self.command, self.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            told = {name: value for name, value in answer.getheaders() if name.lower() == "content-type"}
            return answer.status, told, answer.read()

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
