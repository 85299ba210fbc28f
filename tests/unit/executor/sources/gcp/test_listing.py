"""What is asked of a project to find its exports, and in which order."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core import exceptions as google
from google.cloud import bigquery

from services.executor.errors import StepError
from services.executor.sources.gcp.exports import TableName
from services.executor.sources.gcp.found import LISTED_AT_ONCE, MOST_GUESSED, Guesses, Listing, list_tables

ACCOUNT = "0A1B2C_3D4E5F_A6B7C8"
STANDARD, DETAILED = f"gcp_billing_export_v1_{ACCOUNT}", f"gcp_billing_export_resource_v1_{ACCOUNT}"


@dataclass
class Project:
    """A project that says which datasets it has only when so many other questions have come."""

    project: str
    tables: dict[str, list[str]]
    waits_for: int = 0
    asked: list[str] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    def _note(self, what: str) -> None:
        self.asked.append(what)
        if len(self.asked) >= self.waits_for:
            self.enough.set()

    def list_datasets(self, **_: object) -> list[Any]:
        assert not self.waits_for or self.enough.wait(10)
        self.asked.append("datasets")
        return [SimpleNamespace(dataset_id=name, reference=bigquery.DatasetReference(self.project, name)) for name in self.tables]

    def list_tables(self, dataset: bigquery.DatasetReference, **_: object) -> Iterator[Any]:
        self._note(dataset.dataset_id)
        if dataset.dataset_id not in self.tables:
            raise google.NotFound("gone")  # type: ignore[no-untyped-call]
        for name in self.tables[dataset.dataset_id]:
            yield SimpleNamespace(project=self.project, dataset_id=dataset.dataset_id, table_id=name, table_type="TABLE")

    def describe(self, table: TableName) -> None:
        self._note(table.table)
        raise StepError("it is gone")

    def listed(self) -> Listing:
        self.asked.clear()
        self.enough.clear()
        return list_tables(self, self.describe, lambda: None)  # type: ignore[arg-type]


def test_what_was_found_the_last_time_is_asked_for_without_waiting() -> None:
    """The exports, and all datasets, before it is known which datasets there are: nothing is asked twice."""
    cloud = Project("listed-twice", {"sales": ["orders"], "billing": [STANDARD, DETAILED]})
    first = cloud.listed()
    assert (cloud.asked[0], sorted(cloud.asked)) == ("datasets", ["billing", "datasets", "sales"])

    cloud.waits_for = 4
    assert cloud.listed() == first
    assert sorted(cloud.asked[:-1]) == sorted([STANDARD, DETAILED, "billing", "sales"])
    assert cloud.asked[-1] == "datasets"


def test_what_is_there_now_counts() -> None:
    """The export has moved to a new dataset, and the old one is gone."""
    cloud = Project("moved", {"old": [STANDARD]})
    cloud.listed()
    cloud.tables = {"new": [STANDARD, DETAILED]}
    found = cloud.listed()
    assert sorted(str(one.name) for one in found.tables) == [f"moved.new.{DETAILED}", f"moved.new.{STANDARD}"]


def test_a_dataset_that_cannot_be_listed_is_an_error_also_if_it_was_before(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Project("away", {"billing": [STANDARD]})
    cloud.listed()

    def away(*_: object, **__: object) -> Iterator[Any]:
        raise google.ServiceUnavailable("away")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(cloud, "list_tables", away)
    with pytest.raises(google.ServiceUnavailable):
        cloud.listed()


def test_what_is_remembered_is_bounded() -> None:
    guesses = Guesses(size=2)
    for number in range(3):
        guesses.note(f"p{number}", Listing(tables=[], hidden=[]), [f"d{one}" for one in range(MOST_GUESSED + 1)])
    assert guesses.of("p0").datasets == ()
    assert len(guesses.of("p2").datasets) == MOST_GUESSED
    assert LISTED_AT_ONCE < MOST_GUESSED
