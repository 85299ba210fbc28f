"""The calls that the emulator answers without FastAPI are answered as FastAPI answers them."""

import json
import re
import urllib.error
import urllib.request
import uuid
from typing import Any

import pytest

from localcloud.settings import LocalSettings

CHANGING = re.compile(r'"(?:jobId|queryId|creationTime|startTime|endTime|lastModifiedTime|etag|id|selfLink|tableId)": ?"[^"]*",? ?')
NOT_DIRECT = "fields=*"
"""A parameter that is dropped, but that only FastAPI knows of."""


class Rest:
    """The emulator's REST interface."""

    def __init__(self, emulators: LocalSettings) -> None:
        self.project = emulators.project
        self._root = f"http://{emulators.address('bigquery')}/bigquery/v2/projects/{emulators.project}"

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
        """Status, type and text of the answer. `body`: JSON, or bytes as they are."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._root}{path}", data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read().decode()

    def both(self, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
        """The answer, which is the same either way but for ids and times."""
        direct = self.call(method, path, body)
        by_fastapi = self.call(method, f"{path}{'&' if '?' in path else '?'}{NOT_DIRECT}", body)
        assert [CHANGING.sub("", str(part)) for part in direct] == [CHANGING.sub("", str(part)) for part in by_fastapi], (
            method,
            path,
            body,
        )
        return direct


@pytest.fixture(scope="module")
def rest(emulators: LocalSettings) -> Rest:
    rest = Rest(emulators)
    assert rest.call("POST", "/datasets", {"datasetReference": {"datasetId": "direct"}})[0] == 200
    table = {
        "tableReference": {"tableId": "t"},
        "schema": {"fields": [{"name": "a", "type": "INTEGER"}, {"name": "at", "type": "TIMESTAMP"}]},
    }
    assert rest.call("POST", "/datasets/direct/tables", table)[0] == 200
    return rest


def query(text: str, **more: Any) -> dict[str, Any]:
    return {"query": text, "useLegacySql": False, "defaultDataset": {"datasetId": "direct"}, "timeoutMs": 30_000, **more}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (query("SELECT n, TIMESTAMP '2026-01-02 03:04:05.678901+00' AS at, [STRUCT('ä' AS k)] AS l FROM UNNEST([3, 1, 2]) AS n"), 200),
        (query("SELECT n, CURRENT_DATE() > '2020-01-01' FROM UNNEST([3, 1, 2]) AS n", maxResults=2), 200),
        (query("SELECT TIMESTAMP '2026-01-02' AS at", formatOptions={"useInt64Timestamp": True}), 200),
        (query("SELECT a FROM t WHERE a = 1", dryRun=True), 200),
        (query("UPDATE t SET a = 1 WHERE a = 0"), 200),
        (query("DECLARE a INT64 DEFAULT 1; SET a = a + 1; SELECT a"), 200),
        (query("SELEC 1"), 400),
        (query("SELECT 1 / 0"), 400),
        (query("SELECT a FROM missing"), 404),
        (query("SELECT 1", timeoutMs="soon"), 400),
        ({"query": 7}, 400),
        ([], 400),
        (b"{", 400),
        (b"", 400),
    ],
)
def test_statements(rest: Rest, body: Any, status: int) -> None:
    assert rest.both("POST", "/queries", body)[0] == status


def test_jobs(rest: Rest) -> None:
    """A job, its description and its rows; also of one that fails, and of one that is not there."""
    for text, status in (("SELECT n FROM UNNEST([3, 1, 2]) AS n", 200), ("SELECT ERROR('no')", 400)):
        job = f"job_{uuid.uuid4().hex}"
        body = {"jobReference": {"jobId": job}, "configuration": {"query": query(text), "labels": {"a": "b"}}}
        assert rest.call("POST", "/jobs", body)[0] == 200
        assert rest.both("POST", "/jobs", body)[0] == 409
        assert (
            rest.both("GET", f"/queries/{job}?maxResults=2&formatOptions.useInt64Timestamp=True&location=US&timeoutMs=10000")[0] == status
        )
        assert rest.both("GET", f"/queries/{job}?startIndex=1")[0] == status
        assert rest.both("GET", f"/queries/{job}?startIndex=one")[0] == 400
        assert rest.both("GET", f"/jobs/{job}?projection=full&location=US&prettyPrint=false")[0] == 200
    assert rest.both("GET", "/queries/missing")[0] == rest.both("GET", "/jobs/missing")[0] == 404
    assert rest.both("POST", "/jobs", {"configuration": {"query": query("SELECT 1")}})[0] == 200
    assert rest.both("POST", "/jobs", {"configuration": {}})[0] == 400


def test_tables(rest: Rest) -> None:
    """A table's description, and rows for it, of which some are wrong."""
    assert rest.both("GET", "/datasets/direct/tables/t")[0] == 200
    assert rest.both("GET", "/datasets/direct/tables/t?selectedFields=a&view=BASIC")[0] == 200
    assert rest.both("GET", "/datasets/direct/tables/missing")[0] == rest.both("GET", "/datasets/missing/tables/t")[0] == 404
    for rows in ([{"json": {"a": 1}}], [{"json": {"a": "x"}}, {"json": {"b": 1}}], [], [{"insertId": "1", "json": {"at": "2026-01-02"}}]):
        assert rest.both("POST", "/datasets/direct/tables/t/insertAll", {"rows": rows})[0] == 200
    assert rest.both("POST", "/datasets/direct/tables/t/insertAll", {"rows": 1})[0] == 400
    assert rest.both("POST", "/datasets/direct/tables/missing/insertAll", {"rows": []})[0] == 404
