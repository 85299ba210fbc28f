"""BigQuery's REST API as far as jobs go, scripted: what happens to each job, and which answers go wrong, is said beforehand.

For what no emulator does on demand: jobs that take long, die, or cannot be read for a moment, and polls that fail. It keeps no tables.
"""

import json
import re
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOST = 0
"""A fault: the request is done, and its answer lost."""
SERVER_WAITS = 10.0
"""So long getQueryResults waits for the end of a job unless the request says otherwise (REST reference)."""
TEXTS = {
    "jobBackendError": "The job encountered an error during execution. Retrying the job may solve the problem.",
    "jobInternalError": "The job encountered an internal error during execution and was unable to complete successfully.",
}
CODES = {"backendError": 503, "notFound": 404, "duplicate": 409, "rateLimitExceeded": 403, "accessDenied": 403}
_ROUTES = (
    ("POST", r"/upload/.*/jobs", "upload"),
    ("POST", r".*/queries", "query"),
    ("GET", r".*/queries/(?P<job>[^/]+)", "results"),
    ("POST", r".*/jobs", "insert"),
    ("GET", r".*/jobs/(?P<job>[^/]+)", "get"),
    ("POST", r".*/jobs/(?P<job>[^/]+)/cancel", "cancel"),
    ("POST", r".*/insertAll", "stream"),
    ("GET", r".*/datasets/[^/]+/tables/[^/]+", "table"),
    ("GET", r".*/datasets/[^/]+", "dataset"),
)


@dataclass(kw_only=True)
class FakeJob:
    """A job that BigQuery has taken."""

    resource: dict[str, Any]
    ending: str
    """`ok`, `never`, `empty` (a success without rows), or the reason of an error."""
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(kw_only=True)
class FakeBigQuery:
    """`requests` is what came; the kinds are those of `_ROUTES`."""

    endings: deque[str] = field(default_factory=deque)
    """How the next jobs end; those after them end well."""
    faults: dict[str, deque[int | str]] = field(default_factory=lambda: defaultdict(deque))
    """Kind of request to what its next ones meet: a status, LOST, a reason of an error, or `` for none."""
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Path, from `/datasets`, to the resource of a table or dataset; what is not here is not found."""
    refuse_rows: bool = False
    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Kind, and the id of the job or the body."""
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self) -> Counter[str]:
        """How often each kind of request came."""
        return Counter(kind for kind, _ in self.requests)

    def answer(self, kind: str, path: str, job_id: str, body: Any) -> tuple[int, dict[str, Any]]:
        """Status and body. Runs in the thread of its request."""
        match kind:
            case "query":
                job = self._take({"jobReference": {"projectId": "p", "jobId": f"server_{len(self.jobs)}", "location": "US"}})
                return self._results(job, float(body["timeoutMs"]) / 1000)
            case "insert" | "upload":
                return _error("duplicate") if job_id in self.jobs else (200, self._take(body).resource | {"status": {"state": "PENDING"}})
            case "stream":
                return 200, {"insertErrors": [{"index": 0, "errors": [{"reason": "invalid"}]}]} if self.refuse_rows else {}
            case "table" | "dataset":
                found = self.tables.get(path[path.index("/datasets") :])
                return (200, found) if found else _error("notFound")
            case _:
                return self._of_job(kind, self.jobs[job_id]) if job_id in self.jobs else _error("notFound")

    def _of_job(self, kind: str, job: FakeJob) -> tuple[int, dict[str, Any]]:
        if kind == "cancel":
            job.cancelled.set()
            return 200, {"job": _resource(job)}
        return (200, _resource(job)) if kind == "get" else self._results(job, SERVER_WAITS)

    def fault(self, kind: str) -> int | str:
        """What the next request of the kind meets."""
        with self._lock:
            return self.faults[kind].popleft() if self.faults[kind] else ""

    def _take(self, resource: dict[str, Any]) -> FakeJob:
        with self._lock:
            job = FakeJob(resource=resource, ending=self.endings.popleft() if self.endings else "ok")
            self.jobs[resource["jobReference"]["jobId"]] = job
        return job

    def _results(self, job: FakeJob, seconds: float) -> tuple[int, dict[str, Any]]:
        reference = {"jobReference": job.resource["jobReference"]}
        if job.ending == "never":
            job.cancelled.wait(seconds)
            return 200, {**reference, "jobComplete": False}
        if job.ending not in {"ok", "empty"}:
            return _error(job.ending)
        rows = [{"f": [{"v": "true"}]}] if job.ending == "ok" else []
        schema = {"fields": [{"name": "done", "type": "BOOLEAN"}]}
        return 200, {**reference, "jobComplete": True, "schema": schema, "rows": rows, "totalRows": str(len(rows))}


def _resource(job: FakeJob) -> dict[str, Any]:
    is_stopped = job.ending == "never" and job.cancelled.is_set()
    status: dict[str, Any] = {"state": "RUNNING" if job.ending == "never" and not is_stopped else "DONE"}
    if is_stopped:
        status["errorResult"] = {"reason": "stopped", "message": "Job execution was cancelled: User requested cancellation"}
    elif job.ending not in {"ok", "empty", "never"}:
        status["errorResult"] = {"reason": job.ending, "message": TEXTS.get(job.ending, job.ending)}
    configuration = job.resource.get("configuration", {"query": {"query": "SELECT 1"}})
    return {**job.resource, "configuration": configuration, "status": status, "statistics": {}}


def _error(reason: str) -> tuple[int, dict[str, Any]]:
    message, code = TEXTS.get(reason, f"said by the test: {reason}"), CODES.get(reason, 400)
    return code, {"error": {"code": code, "message": message, "errors": [{"reason": reason, "message": message}]}}


@contextmanager
def fake_bigquery(fake: FakeBigQuery) -> Iterator[FakeBigQuery]:
    """The server on a free port of loopback; `url` is for BIGQUERY_EMULATOR_HOST."""

    class Handler(_Handler):
        bigquery = fake

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    bigquery: FakeBigQuery
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        kind, match = next(
            (kind, match) for method, pattern, kind in _ROUTES if method == self.command and (match := re.fullmatch(pattern, path))
        )
        # A file comes as MIME parts: first the job, then its bytes.
        text = re.search(rb"\{.*?\}\r?\n--", raw, re.DOTALL) if kind == "upload" else None
        body = json.loads(text[0][:-2] if text else raw or b"{}")
        job_id = match.groupdict().get("job") or (body.get("jobReference") or {}).get("jobId", "")
        self.bigquery.requests.append((kind, job_id or raw.decode()))
        fault = self.bigquery.fault(kind)
        if isinstance(fault, int) and fault != LOST:
            self._reply(fault, {"error": {"code": fault, "message": "said by the test"}})
        elif isinstance(fault, str) and fault:
            self._reply(*_error(fault))
        else:
            status, answer = self.bigquery.answer(kind, path, job_id, body)
            if kind == "results" and "maxResults=0" in query:
                answer.pop("rows", None)
            if fault == LOST:
                self.close_connection = True
            else:
                self._reply(status, answer)

    do_GET = do_POST = handle_any  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
