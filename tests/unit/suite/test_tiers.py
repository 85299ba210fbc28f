"""tests/long.toml names tests that exist, and what stays in `make test`; the mark, the note at the end, and the report of times."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.platform.settings import REPOSITORY
from tests.support.tiers import LONG, MARK, LeftOut, is_long, is_within
from tests.support.times import Timed, read, report

CASE = re.compile(r"\[.*\]$")


def is_there(beginning: str) -> bool:
    """A folder, a file, or a file with this test. Which cases a test has is only known when it is collected."""
    file, _, test = beginning.partition("::")
    path = REPOSITORY / file
    return path.exists() and (not test or re.search(rf"^(async )?def {CASE.sub('', test)}\(", path.read_text(), re.MULTILINE) is not None)


@pytest.mark.parametrize("begins", LONG)
def test_what_is_left_out_exists_and_so_does_what_stays(begins: str) -> None:
    entry = LONG[begins]
    assert entry.tries
    assert entry.stays, "nothing proves one case of it in make test"
    assert [one for one in (begins, *entry.stays) if not is_there(one)] == []
    assert [one for one in entry.stays if is_long(one)] == []


def test_what_a_beginning_covers() -> None:
    nodeid = "tests/a.py::test_b[c]"
    covering = ["tests/", "tests/a.py", "tests/a.py::test_b", nodeid]
    others = ["tests/a", "tests/a.py::test", "tests/a.py::test_b[c", "test"]
    assert [one for one in covering + others if is_within(nodeid, one)] == covering


def test_what_stays_is_an_exception() -> None:
    deaths = "tests/integration/executor/replay/test_deaths.py"
    assert is_long(f"{deaths}::test_a_run_that_dies_while_it_publishes")
    assert not is_long(f"{deaths}::test_a_run_that_dies_before_focus_just_after_midnight")
    assert not is_long("tests/unit/suite/test_tiers.py::test_what_stays_is_an_exception")


def test_make_test_says_how_many_it_leaves_out() -> None:
    """Each of two workers has left out the same three; the process that reports has collected none."""
    item, other = SimpleNamespace(get_closest_marker=lambda name: name == MARK or None), SimpleNamespace(get_closest_marker=lambda _: None)
    outputs: list[dict[str, int]] = [{}, {}]
    for output in outputs:
        worker = LeftOut(config(workeroutput=output))
        worker.pytest_deselected([item, item, other, item])  # type: ignore[list-item]
        worker.pytest_sessionfinish()
    written = list[str]()
    reporter: Any = SimpleNamespace(write_line=lambda text, **_: written.append(text))

    reporting = LeftOut(config())
    reporting.pytest_sessionfinish()
    for output in outputs:
        reporting.pytest_testnodedown(SimpleNamespace(workeroutput=output))
    reporting.pytest_terminal_summary(reporter)

    assert written == ["3 long tests were left to `make test-long`."]


def config(**given: Any) -> Any:
    return SimpleNamespace(option=SimpleNamespace(keyword=""), **given)


def test_slow_tests_are_named_and_very_slow_ones_refused(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(
        '<testsuites><testsuite><testcase file="a.py" name="quick" time="0.5"/><testcase file="a.py" name="slow" time="30"/>'
        '<testcase file="b.py" name="long" time="300"><properties><property name="tier" value="long"/></properties></testcase>'
        "</testsuite></testsuites>"
    )
    text, is_refused = report(read(junit))
    assert text.splitlines() == [
        "make test: 30 s in 2 tests; make test-long: 300 s in 1.",
        "Files of make test that take longest:",
        "   30.5 s  a.py",
        "Too slow for make test (over 20 s; CONTRIBUTING.md says what to do):",
        "   30.0 s  a.py::slow",
    ]
    assert not is_refused
    assert report([Timed(file="a.py", name="endless", seconds=100, is_long=False)])[1]
