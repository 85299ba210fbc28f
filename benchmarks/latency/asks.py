"""What a REST request asks of BigQuery, from its method, path and body. No I/O."""

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from benchmarks.latency.recorder import Ask
from benchmarks.latency.times import Kind
from tests.support.strict_bigquery.request import Request, read
from tests.support.strict_bigquery.script import Kind as Does
from tests.support.strict_bigquery.script import parse

_UPLOAD: Final = re.compile(r"^/upload/|/upload/bigquery/")
_LABEL: Final = re.compile(rb'"statement"\s*:\s*"(\w+)"')
_END: Final = re.compile(r"UPDATE\s+x_meta_pipeline_runs\b(?:(?!\bWHERE\b)[^;])*\bstatus\s*=\s*'COMPLETED'", re.IGNORECASE)
_HEAD_BYTES: Final = 64 * 1024
"""Of an upload, in which its configuration stands."""
_UNTIMED: Final = frozenset({Does.BEGIN, Does.COMMIT})


def ask_of(method: str, path: str, body: bytes, uploads: Mapping[str, str] | None = None) -> Ask:
    """The request; `uploads` are the labels of uploads in parts that were begun, by their ids."""
    if _UPLOAD.search(path):
        return _upload(method, path, body, uploads or {})
    request = read(method, path, body)
    if request.is_new_job:
        return _job(request, body)
    if request.is_poll:
        return Ask(kind=Kind.RESULT, name=f"result of {_statement(path)}")
    if request.is_stream:
        return Ask(kind=Kind.STREAM, name=f"insertAll {_bare(request.table)}")
    what = _bare(request.table) or ("tables" if "/tables" in path else "dataset" if request.dataset else "datasets")
    return Ask(kind=Kind.METADATA, name=f"{_verb(method, request)} {what}")


def upload_id(location: str) -> str:
    """The id in the address of an upload in parts; empty without one."""
    return parse_qs(urlsplit(location).query).get("upload_id", [""])[0]


def _upload(method: str, path: str, body: bytes, uploads: Mapping[str, str]) -> Ask:
    if found := upload_id(path):
        return Ask(kind=Kind.LOAD, name=uploads.get(found, "load"))
    label = _LABEL.search(body, 0, _HEAD_BYTES)
    name = label[1].decode() if label else "load"
    return Ask(kind=Kind.METADATA if "uploadType=resumable" in path else Kind.LOAD, name=name if method == "POST" else "load")


def _job(request: Request, body: bytes) -> Ask:
    configuration = _configuration(body)
    if configuration.get("dryRun"):
        return Ask(kind=Kind.METADATA, name=f"dry run {request.label}".strip())
    if not request.sql:
        is_load = "load" in configuration
        return Ask(kind=Kind.LOAD if is_load else Kind.STATEMENT, name=request.label or ("load" if is_load else "copy"))
    script = [one for one in parse(request.sql, "") if one.kind not in _UNTIMED]
    ends_run = _END.search(request.sql) is not None
    return Ask(kind=Kind.STATEMENT, name=request.label or "query", statements=max(1, len(script)), ends_run=ends_run)


def _configuration(body: bytes) -> Mapping[str, Any]:
    """Of a job; `jobs.query` has it at the top."""
    found = json.loads(body)
    configuration: Mapping[str, Any] = found.get("configuration", found)
    return configuration


def _verb(method: str, request: Request) -> str:
    if method == "POST":
        return "create" if request.makes_table or request.makes_dataset else "call"
    return {"GET": "get", "DELETE": "drop", "PATCH": "patch", "PUT": "put"}.get(method, method.lower())


def _statement(path: str) -> str:
    """The statement of a job whose id we chose; else `a job`."""
    job = urlsplit(path).path.rpartition("/")[2]
    name, _, identity = job.rpartition("_")
    return name if len(identity) == len(uuid.UUID(int=0).hex) else "a job"


def _bare(table: str) -> str:
    """Without what makes the name of a staging table one run's own, and that of an export one account's."""
    return re.sub(r"_([0-9a-f]{8,}.*|[0-9A-F]{6}_[0-9A-F]{6}_[0-9A-F]{6})$", "", table)
