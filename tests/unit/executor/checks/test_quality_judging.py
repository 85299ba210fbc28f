"""From a checks query's result to verdicts and samples; a result that does not match the checks exactly is refused."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from services.executor.checks.samples import MAX_BYTES, read_sample
from services.executor.checks.verdicts import Check, judge, refuse_errors
from services.executor.errors import StepError
from services.executor.records import DqResult
from services.executor.servicers.to_proto import to_dq_result

NAMES = st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=6)


def row(name: str, failing: int = 0, sample: str | None = None) -> Mapping[str, Any]:
    return {"check_name": name, "failing_rows": failing, "observed_value": str(failing), "sample_rows": sample}


def check(name: str, severity: str = "warn", **changes: Any) -> Check:
    return Check(name=name, severity=severity, expect="x", **changes)


@given(NAMES, st.data())
def test_each_check_gets_its_own_verdict_in_the_templates_order(names: list[str], data: st.DataObject) -> None:
    """Whatever the order of the answer."""
    failing = data.draw(st.lists(st.integers(0, 3), min_size=len(names), max_size=len(names)))
    answer = data.draw(st.permutations([row(name, count) for name, count in zip(names, failing, strict=True)]))
    verdicts = judge([check(name) for name in names], answer)
    assert [(v.check.name, v.failing_rows, v.passed) for v in verdicts] == [
        (name, count, count == 0) for name, count in zip(names, failing, strict=True)
    ]


@given(st.sets(st.text("ab", min_size=1, max_size=2), min_size=1), st.lists(st.text("ab", min_size=1, max_size=2)))
def test_no_other_answer_is_judged(wanted: set[str], answered: list[str]) -> None:
    """One is missing, one is not a check, one stands twice."""
    checks, answer = [check(name) for name in wanted], [row(name) for name in answered]
    if sorted(answered) == sorted(wanted):
        assert len(judge(checks, answer)) == len(wanted)
        return
    with pytest.raises(StepError, match="this template is broken"):
        judge(checks, answer)


def test_a_sum_over_no_rows_is_no_count() -> None:
    with pytest.raises(StepError, match="counts no rows for a, not even 0: its failing_rows is NULL; this template is broken") as caught:
        judge([check("a")], [dict(row("a"), failing_rows=None)])
    assert not caught.value.is_retryable


@pytest.mark.parametrize(
    ("answered", "message"),
    [
        (["a"], "The checks query does not measure b; this template is broken."),
        (["a", "b", "d", "c"], "The checks query measures what is no check: c, d; this template is broken."),
        (["a", "b", "a"], "The checks query measures more than once: a; this template is broken."),
    ],
)
def test_what_is_wrong_with_an_answer_is_reported(answered: list[str], message: str) -> None:
    with pytest.raises(StepError) as error:
        judge([check("a"), check("b")], [row(name) for name in answered])
    assert error.value.message == message


def test_only_errors_fail_the_run() -> None:
    refuse_errors(judge([check("a"), check("b", "error")], [row("a", 3), row("b")]))
    with pytest.raises(StepError, match=r"b \(expected x, 2 rows fail\)"):
        refuse_errors(judge([check("a"), check("b", "error")], [row("a", 3), row("b", 2)]))


VALUES = st.one_of(st.none(), st.text(max_size=200))


@given(st.integers(1, 12).flatmap(lambda width: st.lists(st.lists(VALUES, min_size=width, max_size=width), min_size=1, max_size=5)))
def test_a_sample_is_a_beginning_of_the_rows_and_never_too_long(rows: list[list[str | None]]) -> None:
    """Whole rows, of which at least a part of the first is there; all of them if they fit."""
    columns = [f"c{number}" for number in range(len(rows[0]))]
    whole = [dict(zip(columns, values, strict=True)) for values in rows]
    sample = read_sample(columns, json.dumps(rows))
    assert len(json.dumps(sample, ensure_ascii=False).encode()) <= MAX_BYTES
    assert sample[0].items() <= whole[0].items()
    assert sample[1:] == whole[1 : len(sample)]
    if len(json.dumps(whole, ensure_ascii=False).encode()) <= MAX_BYTES:
        assert sample == whole


def test_a_check_that_samples_nothing_has_no_sample() -> None:
    assert read_sample((), None) == []
    [verdict] = judge([check("a", sampled=("id",))], [row("a", 1, '[["x"]]')])
    assert verdict.sample == [{"id": "x"}]
    [verdict] = judge([check("a", sampled=("id",))], [row("a", 0, None)])
    assert verdict.sample == []


def test_an_api_caller_sees_the_sample() -> None:
    verdict = DqResult(
        dq_result_id="1",
        tenant_id="acme",
        user_id=None,
        pipeline_logging_id="2",
        step_id="checks",
        table_name="t",
        check_name="a",
        severity="warn",
        status="FAILED",
        observed_value="1",
        threshold="x",
        failing_rows=1,
        sample_rows=[{"id": "ü", "shop.id": None}],
        executed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert MessageToDict(to_dq_result(verdict))["sampleRows"] == [{"id": "ü", "shop.id": None}]
