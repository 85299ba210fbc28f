"""The content of a REST request to BigQuery, from its method, path and body. No I/O."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from services.platform.bigquery.sql import make_block
from tests.support.strict_bigquery.iam import OWNER, READER, WRITER, Iam
from tests.support.strict_bigquery.script import CHANGES, parse

_PATH = re.compile(
    r"/projects/(?P<project>[^/?]+)(?P<is_datasets>/datasets(?:/(?P<dataset>[^/?]+)(?P<is_tables>/tables(?:/(?P<table>[^/?]+))?)?)?)?"
    r"(?P<is_job>/(?:queries|jobs)(?:/(?P<job>[^/?]+))?)?(?P<verb>/\w+)?"
)
_DESTINATION = re.compile(rb'"destinationTable"\s*:\s*{[^}]*"datasetId"\s*:\s*"(?P<dataset>\w+)"|"datasetId"\s*:\s*"(?P<other>\w+)"')
_LOCATION = re.compile(rb'(?:[?&]location=|"location"\s*:\s*")(?P<location>[\w-]+)')
_QUALIFIED = re.compile(r"`(?P<project>[\w-]+)\.(?P<dataset>\w+)\.\w+`")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request, with its JSON body if it has one."""

    method: str
    project: str = ""
    dataset: str = ""
    table: str = ""
    sql: str = ""
    default_dataset: str = ""
    is_new_job: bool = False
    is_poll: bool = False
    is_stream: bool = False
    makes_dataset: bool = False
    makes_table: bool = False
    loads_into: str = ""
    """The dataset that a load or copy job writes."""
    location: str = ""
    """That a job is handed in with, or asked for in."""
    label: str = ""
    """The statement's name, which our client puts on its jobs."""
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def full_table(self) -> str:
        """`dataset.table`."""
        return f"{self.dataset}.{self.table}"

    def check(self, iam: Iam, account: str) -> None:
        """Raises Refused unless the account may do this."""
        if self.makes_dataset:
            iam.check_project(account, self.project, "bigquery.datasets.create")
        elif self.is_new_job:
            iam.check_project(account, self.project, "bigquery.jobs.create")
        if not self._is_granted_by_table(iam, account):
            for dataset, level in self._needs():
                iam.check_data(account, dataset, level)

    def apply(self, iam: Iam, account: str) -> None:
        """The request was done."""
        if self.makes_dataset:
            iam.make(account, f"{self.project}.{self.body['datasetReference']['datasetId']}", self.body.get("access"))
        elif self._is_dataset and self.method in {"PATCH", "PUT"} and "access" in self.body:
            iam.replace(f"{self.project}.{self.dataset}", self.body["access"])
        elif self._is_dataset and self.method == "DELETE":
            iam.drop(f"{self.project}.{self.dataset}")

    @property
    def _is_dataset(self) -> bool:
        return bool(self.dataset) and not self.table and not self.makes_table

    def _is_granted_by_table(self, iam: Iam, account: str) -> bool:
        """Whether roles on single tables allow all of it."""
        if self.table:
            return iam.may_table(account, f"{self.project}.{self.full_table}", READER if self.method == "GET" else WRITER)
        if not self.sql or not self.default_dataset or _QUALIFIED.search(self.sql):
            return False
        block = make_block("", self.sql, {})
        levels = {**dict.fromkeys(block.read, READER), **dict.fromkeys(block.written, WRITER)}
        return bool(levels) and all(iam.may_table(account, f"{self.default_dataset}.{table}", level) for table, level in levels.items())

    def _needs(self) -> Iterator[tuple[str, int]]:
        """`project.dataset` and what it takes in it."""
        if self.sql:
            block = make_block("", self.sql, {})
            changes = any(one.kind in CHANGES for one in parse(self.sql, ""))
            if self.default_dataset and (block.read or block.written or changes):
                yield self.default_dataset, WRITER if changes else READER
            for name in _QUALIFIED.finditer(self.sql):
                yield f"{name['project']}.{name['dataset']}", READER
        elif self.loads_into:
            yield f"{self.project}.{self.loads_into}", WRITER
        elif self._is_dataset:
            yield f"{self.project}.{self.dataset}", READER if self.method == "GET" else OWNER
        elif self.dataset:
            yield f"{self.project}.{self.dataset}", READER if self.method == "GET" else WRITER


def read(method: str, path: str, body: bytes) -> Request:
    """The request; what it is not about stays empty."""
    found = _PATH.search(path)
    if found is None:
        return Request(method=method)
    if found["is_job"]:
        asked = _LOCATION.search(path.encode() if found["job"] else body)
        return _job(method, found["project"], found["job"], body, asked["location"].decode() if asked else "")
    verb, posts = found["verb"], method == "POST"
    return Request(
        method=method,
        project=found["project"],
        dataset=found["dataset"] or "",
        table=found["table"] or "",
        is_stream=verb == "/insertAll",
        makes_dataset=posts and bool(found["is_datasets"]) and not found["dataset"],
        makes_table=posts and bool(found["is_tables"]) and not found["table"],
        body=_json(body) if verb != "/insertAll" else {},
    )


def _job(method: str, project: str, job: str | None, body: bytes, location: str) -> Request:
    if method != "POST" or job:
        return Request(method=method, project=project, location=location, is_poll=method == "GET" and bool(job))
    request = _json(body)
    query = request.get("configuration", {}).get("query", request)
    default = query.get("defaultDataset", {})
    loads = "" if "query" in query else next((found["dataset"] or found["other"] for found in _DESTINATION.finditer(body)), b"").decode()
    return Request(
        method=method,
        project=project,
        sql=query.get("query", ""),
        default_dataset=f"{default.get('projectId', project)}.{default['datasetId']}" if default else "",
        is_new_job=True,
        loads_into=loads,
        location=location,
        label=request.get("configuration", request).get("labels", {}).get("statement", ""),
    )


def _json(body: bytes) -> dict[str, Any]:
    """The body's object; empty for an upload in parts, and for what is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
