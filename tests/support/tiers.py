"""The mark `long`: what `make test` leaves to `make test-long`. Which tests these are stands in tests/long.toml."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from services.platform.settings import REPOSITORY

MARK = "long"


@dataclass(frozen=True, kw_only=True, slots=True)
class Long:
    """Why some tests are left to `make test-long`."""

    tries: str
    """What takes so long."""
    stays: tuple[str, ...]
    """Beginnings of node ids that stay in `make test`, and prove one case of it. One below the entry is an exception from the entry."""


def read() -> Mapping[str, Long]:
    """By the beginning of a node id: a folder (ending with `/`), a file, a test, or one of its cases."""
    table = tomllib.loads((REPOSITORY / "tests" / "long.toml").read_text())
    return {
        f"{begins}::{test}" if test else begins: Long(tries=entry["tries"], stays=tuple(entry["stays"]))
        for begins, entry in table.items()
        for test in entry.get("only", [""])
    }


LONG = read()


def is_long(nodeid: str) -> bool:
    """True for a test that only `make test-long` runs."""
    entries = _about(nodeid.partition("::")[0])
    return any(is_within(nodeid, begins) and not any(is_within(nodeid, one) for one in LONG[begins].stays) for begins in entries)


@cache
def _about(file: str) -> list[str]:
    """The entries that name this file, a test in it, or a folder above it: thousands of tests are looked at."""
    return [begins for begins in LONG if is_within(file, begins.partition("::")[0])]


def is_within(nodeid: str, beginning: str) -> bool:
    """`tests/a.py::test_b[c]` is within `tests/`, `tests/a.py`, `tests/a.py::test_b` and itself, and not within `tests/a.py::test`."""
    return nodeid == beginning or nodeid.startswith((beginning,) if beginning.endswith("/") else (f"{beginning}::", f"{beginning}["))


def mark_long(items: Iterable[pytest.Item]) -> None:
    """Marks the tests that only `make test-long` runs; the JUnit file says so, too."""
    for item in items:
        if is_long(item.nodeid):
            item.add_marker(MARK)
            item.user_properties.append(("tier", MARK))


class LeftOut:
    """Counts the long tests that are not run, and says so at the end. Workers send their count to the process that reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._count = config, 0

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._count += sum(item.get_closest_marker(MARK) is not None for item in items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if (output := getattr(self._config, "workeroutput", None)) is not None:
            output["left_out"] = self._count

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._count = max(self._count, getattr(node, "workeroutput", {}).get("left_out", 0))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._count and not self._config.option.keyword:
            terminalreporter.write_line(f"{self._count} long tests were left to `make test-long`.", yellow=True)
