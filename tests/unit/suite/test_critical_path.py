"""How the critical path is found, and what a request asks of BigQuery; the proxy is real, its upstream a small server."""

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import pytest

from benchmarks.latency.asks import ask_of, upload_id
from benchmarks.latency.path import OF_A_SCHEDULED_RUN, TICKS, count, critical_path, sequential, walked
from benchmarks.latency.recorder import Ask, Recorder, Seen
from benchmarks.latency.rest import rest_proxy
from benchmarks.latency.table import Followed, table
from benchmarks.latency.times import AS_BIGQUERY, AT_ONCE, SCRIPTS_AS_BIGQUERY, Kind
from services.platform.bigquery.sql import load_blocks
from services.platform.settings import REPOSITORY
from tests.support.served import served

JOBS, QUERIES = "/bigquery/v2/projects/p/jobs", "/bigquery/v2/projects/p/queries"


def seen(name: str, sent: float, answered: float, kind: Kind = Kind.STATEMENT) -> Seen:
    return Seen(ask=Ask(kind=kind, name=name, ends_run=name == "end"), by="executor", sent=sent, answered=answered)


def names(chain: list[Seen]) -> list[str]:
    return [one.ask.name for one in chain]


def query(sql: str, **more: object) -> bytes:
    return json.dumps({"configuration": {"query": {"query": sql}, "labels": {"statement": "a_block"}, **more}}).encode()


def test_statements_that_overlap_are_not_one_after_the_other() -> None:
    load, checks, stage = seen("load", 0, 2, Kind.LOAD), seen("checks", 2, 3), seen("stage", 2.1, 3.4)
    publish, conformance, end = seen("publish", 3.1, 4.1), seen("conformance", 3.5, 4.4), seen("end", 4.5, 5.5)
    assert names(sequential([load, checks, stage, publish, conformance, end])) == ["load", "stage", "conformance", "end"]


def test_one_that_is_sent_in_the_moment_of_an_answer_comes_after_it() -> None:
    assert names(sequential([seen("b", 1, 2), seen("a", 0, 1)])) == ["a", "b"]
    assert names(sequential([seen("a", 0, 1), seen("b", 0.999, 2)])) == ["b"]


def test_what_happened_one_after_the_other_beside_it_is_not_on_the_path() -> None:
    """Nothing waits for `first` and `second`, though three jobs, with the last, come one after the other there."""
    requests = [seen("slow", 0, 5), seen("first", 0, 1), seen("second", 2, 3), seen("log", 5, 5.1, Kind.STREAM), seen("last", 5.1, 6)]
    assert names(critical_path(requests)) == ["slow", "log", "last"]
    assert names(sequential(requests)) == ["slow", "last"]
    assert (critical_path([]), sequential([requests[3]])) == ([], [])


def test_a_run_is_split_by_its_answer_and_its_visible_end() -> None:
    requests = [
        seen("reserve", 0, 1),
        seen("insert_run", 1, 2),
        seen("log", 1.9, 2.3, Kind.STREAM),
        seen("renew", 2, 3),
        seen("publish", 3, 4),
        seen("end", 4, 5),
        seen("settle", 5, 6),
    ]
    found = walked(requests, called=0, answered=2.1)
    assert [names(list(part)) for part in (found.before, found.after, found.unawaited, found.ticks)] == [
        ["reserve", "insert_run"],
        ["log", "publish", "end"],
        ["settle"],
        ["renew"],
    ]
    assert (found.ended, count(found.after, Kind.STREAM)) == (5, 1)
    with pytest.raises(ValueError, match="no statement has made the run COMPLETED"):
        walked(requests[:3], called=0, answered=2.1)


def test_the_table_shows_both_parts_and_what_waits_for_nothing() -> None:
    requests = [seen("reserve", 0, 1), seen("end", 2, 4), seen("log", 2, 2.5, Kind.STREAM), seen("settle", 4, 5)]
    run = walked(requests, called=0, answered=1.5)
    text = table([Followed(flow="API", times="quick", walked=run), Followed(flow="API", times="slow", walked=run)], rows=7)
    assert "| API | quick | 1.50 | 0.00 | 4.00 | 0.00 | 1 | 1 | 3 | 0 | 0 |" in text
    assert "| 2 | **end** | executor | 2000 | 2000 |" in text
    assert "Beside it: log." in text
    assert "After the end: **settle**." in text


def test_the_statement_that_ends_a_run_is_known() -> None:
    block = load_blocks(REPOSITORY / "services" / "executor" / "queries.sql")["complete_run"]
    assert ask_of("POST", JOBS, query(block.sql)).ends_run


def test_what_ticks_is_a_statement_of_ours() -> None:
    known = {name for file in (REPOSITORY / "services").rglob("queries.sql") for name in load_blocks(file)}
    assert known >= TICKS
    assert TICKS >= OF_A_SCHEDULED_RUN


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", JOBS, query("SELECT 1"), Ask(kind=Kind.STATEMENT, name="a_block")),
        (
            "POST",
            JOBS,
            query("BEGIN TRANSACTION; UPDATE t SET a = 1 WHERE TRUE; INSERT INTO u (a) SELECT 1; COMMIT TRANSACTION; SELECT TRUE AS done"),
            Ask(kind=Kind.STATEMENT, name="a_block", statements=3),
        ),
        (
            "POST",
            JOBS,
            query("SELECT 1; UPDATE x_meta_pipeline_runs SET rows = 1,\n status = 'COMPLETED' WHERE status = 'RUNNING'"),
            Ask(kind=Kind.STATEMENT, name="a_block", statements=2, ends_run=True),
        ),
        (
            "POST",
            JOBS,
            query("UPDATE x_meta_pipeline_runs SET cost_usd = 1 WHERE status = 'COMPLETED'"),
            Ask(kind=Kind.STATEMENT, name="a_block"),
        ),
        ("POST", QUERIES, b'{"query": "SELECT 1", "labels": {"statement": "look"}}', Ask(kind=Kind.STATEMENT, name="look")),
        ("POST", JOBS, query("SELECT 1", dryRun=True), Ask(kind=Kind.METADATA, name="dry run a_block")),
        ("POST", JOBS, b'{"configuration": {"load": {}, "labels": {"statement": "from_gcs"}}}', Ask(kind=Kind.LOAD, name="from_gcs")),
        ("GET", f"{QUERIES}/dq_checks_{'0f' * 16}?maxResults=0", b"", Ask(kind=Kind.RESULT, name="result of dq_checks")),
        ("GET", f"{JOBS}/job_1", b"", Ask(kind=Kind.RESULT, name="result of a job")),
        (
            "POST",
            f"/upload{JOBS}?uploadType=multipart",
            b'--x\r\n\r\n{"configuration": {"load": {}, "labels": {"statement": "load_staging"}}}\r\n--x\r\n\r\nPAR1',
            Ask(kind=Kind.LOAD, name="load_staging"),
        ),
        ("POST", f"/upload{JOBS}?uploadType=resumable", b'{"labels": {"statement": "s"}}', Ask(kind=Kind.METADATA, name="s")),
        ("PUT", f"/upload{JOBS}?uploadType=resumable&upload_id=u1", b"PAR1", Ask(kind=Kind.LOAD, name="load_staging")),
        ("POST", "/bigquery/v2/projects/p/datasets/d/tables/log/insertAll", b"{}", Ask(kind=Kind.STREAM, name="insertAll log")),
        ("GET", "/bigquery/v2/projects/p/datasets/d/tables/t?x=1", b"", Ask(kind=Kind.METADATA, name="get t")),
        ("GET", "/bigquery/v2/projects/p/datasets/d/tables", b"", Ask(kind=Kind.METADATA, name="get tables")),
        (
            "DELETE",
            "/bigquery/v2/projects/p/datasets/d/tables/x_staging_0123456789abcdef_1",
            b"",
            Ask(kind=Kind.METADATA, name="drop x_staging"),
        ),
    ],
)
def test_what_a_request_asks(method: str, path: str, body: bytes, expected: Ask) -> None:
    assert ask_of(method, path, body, {"u1": "load_staging"}) == expected


def test_the_time_of_each_kind() -> None:
    assert [AS_BIGQUERY.of(kind, 7) for kind in Kind] == [1.0, 2.0, 0.1, 0.15, 0.15, 0.5, 0.0]
    assert SCRIPTS_AS_BIGQUERY.of(Kind.STATEMENT, 7) == 7.0
    assert {AT_ONCE.of(kind, 7) for kind in Kind} == {0.0}
    assert upload_id("http://h/upload/x?uploadType=resumable&upload_id=u-1") == "u-1"


@pytest.fixture
def upstream() -> Iterator[str]:
    """Answers with what it was sent, and begins uploads."""

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            if "resumable" in self.path:
                self.send_header("Location", f"http://{self.headers['Host']}{self.path}&upload_id=u1")
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST  # noqa: N815 - as http.server calls it

        def log_message(self, *_: object) -> None:
            pass

    with served(Echo) as address:
        yield address


def sent(url: str, path: str, body: bytes, method: str = "POST") -> tuple[bytes, str | None]:
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request(method, path, body=body, headers={"Authorization": "Bearer t"} if path == QUERIES else {})
        answer = connection.getresponse()
        return answer.read(), answer.getheader("Location")


def test_statements_that_are_there_at_once_wait_at_once(upstream: str) -> None:
    """Each of twenty waits until all twenty do: one that waited for another's end would wait for ever."""
    everybody = threading.Barrier(20, timeout=30)
    recorder = Recorder(times=AS_BIGQUERY, sleep=lambda _: everybody.wait())
    with rest_proxy(recorder, upstream=upstream, callers=["auth"]) as urls, ThreadPoolExecutor(20) as pool:
        bodies = [query(f"SELECT {number}") for number in range(20)]
        assert [answer for answer, _ in pool.map(lambda body: sent(urls["auth"], JOBS, body), bodies)] == bodies
    assert recorder.is_idle
    assert {(one.by, one.ask.name, one.status) for one in recorder.since(0)} == {("auth", "a_block", 200)}


def test_an_upload_in_parts_goes_on_at_the_proxy_under_its_label(upstream: str) -> None:
    recorder = Recorder()
    with rest_proxy(recorder, upstream=upstream, callers=["executor"]) as urls:
        url = urls["executor"]
        _, location = sent(url, f"/upload{JOBS}?uploadType=resumable", b'{"labels": {"statement": "load_staging"}}')
        assert location is not None
        assert location.startswith(url)
        sent(url, location.removeprefix(url), b"PAR1", "PUT")
        sent(url, QUERIES, b'{"query": "SELECT 1"}')
    assert [(one.ask.kind, one.ask.name, one.by) for one in recorder.since(0)] == [
        (Kind.METADATA, "load_staging", "executor"),
        (Kind.LOAD, "load_staging", "executor"),
        (Kind.STATEMENT, "query", "executor as tenant"),
    ]
