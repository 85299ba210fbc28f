"""What screens decide: timelines, limits, forms, errors."""

from datetime import UTC, datetime
from typing import Any

import pytest
from convergence.errors.v1.error_reason_pb2 import ErrorReason

from console.app import SCREENS, navigation
from console.gateway.errors import WHAT_TO_DO, error_of
from console.screens.runs.timeline import Bar, failed_checks, timeline
from console.screens.setup.credential_form import FORMS, credentials_of, fields_of, shown_again
from console.screens.setup.quota import limits_of, usage_bars
from console.screens.template_form import BadValue, body_of, form_of
from console.web.exchange import SignInRefused, tenant_of

NOW = datetime(2026, 11, 26, 9, 0, 10, tzinfo=UTC)
START = {"step_type": "bigquery.sql", "attempt": 1, "action": "STEP_STARTED", "status": "RUNNING", "metadata": {}}


def log(step: str, index: int, second: float, **more: Any) -> dict[str, Any]:
    at = f"2026-11-26T09:00:{second:04.1f}Z"
    return {**START, "step_id": step, "step_index": index, "timestamp": at, **more}


def test_steps_are_drawn_to_scale_with_each_try() -> None:
    failed = {"action": "STEP_FAILED", "status": "FAILED", "duration_ms": "2000", "error_message": "no quota"}
    done = {"action": "STEP_COMPLETED", "status": "COMPLETED", "duration_ms": "1000", "rows_processed": "7"}
    cost = {"metadata": {"cost": {"cost_usd": 0.5}, "table": "t"}}
    run = {
        "started_at": "2026-11-26T09:00:00Z",
        "steps": [
            log("b", 1, 6),
            log("a", 0, 1),
            log("a", 0, 3, **failed, **cost),
            log("a", 0, 4, attempt=2),
            log("a", 0, 5, attempt=2, **done, **cost),
            log("c", 2, 6, action="STEP_SKIPPED", status="SKIPPED"),
        ],
    }
    a, b, c = timeline(run, NOW)
    assert (a.step_id, a.status, a.tries, a.duration_ms, a.rows, a.cost_usd, a.errors) == (
        "a",
        "COMPLETED",
        2,
        3000,
        "7",
        1.0,
        ["no quota"],
    )
    assert a.facts == {"table": "t"}
    assert a.bars == [Bar(x=100, width=200, kind="bad"), Bar(x=400, width=100, kind="good")]
    assert (b.status, b.duration_ms, b.bars) == ("RUNNING", None, [Bar(x=600, width=400, kind="busy")])
    assert (c.status, c.bars) == ("SKIPPED", [])


def test_a_step_without_length_and_a_clock_that_differs_stay_in_the_drawing() -> None:
    run = {"started_at": "2026-11-26T09:00:05Z", "completed_at": "2026-11-26T09:00:06Z", "steps": [log("a", 0, 4), log("b", 1, 9)]}
    for line in timeline(run, NOW):
        for bar in line.bars:
            assert 0 <= bar.x < bar.x + bar.width <= 1000
    assert timeline({"started_at": "2026-11-26T09:00:05Z", "steps": []}, NOW) == []


def test_checks_that_fail_the_run_come_before_warnings() -> None:
    checks = [
        {"status": "FAILED", "severity": "warn"},
        {"status": "PASSED", "severity": "error"},
        {"status": "FAILED", "severity": "error"},
    ]
    assert [one["severity"] for one in failed_checks(checks)] == ["error", "warn"]


def test_limits_say_how_much_is_used_and_which_refuses() -> None:
    quota = {
        "concurrent_pipelines_running": 0,
        "concurrent_limit": 0,
        "pipelines_run_today": 9,
        "daily_limit": 10,
        "pipelines_run_month": 3,
        "cost_usd_month": 12.5,
        "monthly_cost_limit_usd": 5.0,
        "daily_resets_at": "2026-11-27T00:00:00Z",
        "monthly_resets_at": "2026-12-01T00:00:00Z",
        "refusing_limit": "CONCURRENT",
    }
    at_once, today, month, cost = limits_of(quota)
    assert (at_once.share, at_once.kind, at_once.resets) == (1.0, "bad", "")
    assert (today.used, today.most, today.kind) == ("9", "10", "warn")
    assert (month.most, month.share, month.kind) == ("unlimited", 0.0, "")
    assert (cost.share, cost.used, cost.most, cost.kind) == (2.5, "$12.50", "$5.00", "warn")


def test_usage_is_drawn_against_the_highest_day() -> None:
    days = [{"usage_date": day, "usage": {"runs": 1, "cost_usd": cost}} for day, cost in (("a", 2.0), ("b", 0.5))]
    assert usage_bars(days) == [("a", 1, "$2.00", 1.0), ("b", 1, "$0.50", 0.25)]
    assert usage_bars([]) == []
    assert usage_bars([{"usage_date": "a", "usage": {"runs": 0, "cost_usd": 0.0}}]) == [("a", 0, "$0.00", 0.0)]


PARAMETERS = {
    "parameters": [
        {
            "name": "date",
            "type": "date",
            "required": True,
            "default": None,
            "scheduled": "yesterday",
            "description": "A day.",
            "choices": [],
        },
        {"name": "days", "type": "integer", "required": False, "default": 31.0, "description": "", "choices": []},
        {"name": "force", "type": "boolean", "required": False, "default": False, "description": "", "choices": []},
        {"name": "mode", "type": "choice", "required": False, "description": "", "choices": ["a", "b"]},
    ]
}


def test_a_form_follows_the_parameters_and_sends_what_was_filled_in() -> None:
    form = form_of(PARAMETERS, {"days": "3"})
    [date], (days, force, mode) = form.needed, form.others
    assert (form.ways, date.is_required, date.input_type, date.help) == ((), True, "text", "A day.")
    assert (days.input_type, days.value, days.help) == ("number", "3", "Left empty: 31.")
    assert (force.choices, force.help, mode.choices) == (("true", "false"), "Left empty: false.", ("a", "b"))
    assert form_of(PARAMETERS, {}, is_scheduled=True).needed[0].help == "A day. Left empty: yesterday."
    assert body_of(PARAMETERS, {"days": "3", "force": "true", "mode": "", "csrf": "x"}) == {"days": 3, "force": True}
    with pytest.raises(BadValue, match="days"):
        body_of(PARAMETERS, {"days": "many"})


def test_a_form_is_grouped_as_the_schema_of_the_body_says() -> None:
    schema = {
        "required": ["mode"],
        "oneOf": [{"title": "One day", "required": ["date"]}, {"title": "Some", "required": ["days", "date"]}],
        "properties": {
            "date": {"anyOf": [{"format": "date"}, {"enum": ["yesterday"]}]},
            "days": {"minimum": 1.0, "maximum": 31.0},
        },
    }
    form = form_of({**PARAMETERS, "body_schema": schema}, {})
    assert [(way.title, [one.name for one in way.fields]) for way in form.ways] == [("One day", ["date"]), ("Some", ["days"])]
    assert (form.ways[0].fields[0].suggestions, form.ways[1].fields[0].minimum, form.ways[1].fields[0].maximum) == (("yesterday",), 1, 31)
    assert [[one.name for one in group] for group in (form.needed, form.others)] == [["mode"], ["force"]]


def test_forms_of_credentials_keep_what_is_no_secret() -> None:
    for provider, ways in FORMS.items():
        for way, fields in ways.items():
            filled = {one.name: "v" for one in fields}
            assert credentials_of(fields, {**filled, "csrf": "x"}) == filled
            again = shown_again(fields, filled)
            assert {name for name, value in again.items() if not value} == {one.name for one in fields if one.is_secret}
            assert fields_of(provider, way) == fields
    assert fields_of("GCP", "magic") is None
    assert fields_of("IBM", "key") is None


@pytest.mark.parametrize(
    ("key", "named", "tenant"),
    [(f"acme_corp_api_v1_{'x' * 38}", "", "acme_corp"), ("legacy", "acme", "acme"), (f"a_api_api_v1_{'x' * 38}", "", "a_api")],
)
def test_a_key_says_whose_it_is(key: str, named: str, tenant: str) -> None:
    assert tenant_of(key, named) == tenant


@pytest.mark.parametrize(("key", "named"), [("legacy", ""), ("legacy", "../other"), ("legacy", "UPPER")])
def test_a_key_that_does_not_say_so_needs_the_tenant_beside_it(key: str, named: str) -> None:
    with pytest.raises(SignInRefused, match="which tenant"):
        tenant_of(key, named)


def test_errors_of_the_api_and_of_proxies_say_what_to_do() -> None:
    details = [{"reason": "RUN_NOT_FOUND", "metadata": {"a": "b"}}, {"request_id": "r-1"}]
    error = error_of(404, {"message": "There is no such run.", "details": details}, {"retry-after": "7"})
    assert (error.reason, error.request_id, error.retry_after, error.metadata) == ("RUN_NOT_FOUND", "r-1", 7, {"a": "b"})
    assert error.what_to_do == WHAT_TO_DO["RUN_NOT_FOUND"]
    bare = error_of(502, "<html>", {"x-request-id": "r-2"})
    assert (bare.reason, bare.request_id, bare.is_passing) == ("BAD_GATEWAY", "r-2", True)
    assert "request id" in bare.what_to_do


def test_reasons_with_advice_are_those_of_the_api() -> None:
    known = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.DESCRIPTOR.values_by_name}
    assert WHAT_TO_DO.keys() - known == {"GATEWAY_UNREACHABLE"}


def test_screens_are_reached_from_the_navigation() -> None:
    assert [one.path for one in navigation()] == [one.path for one in SCREENS]
    for screen in SCREENS:
        assert screen.path in {one.path for one in screen.endpoints if one.method == "GET"}
