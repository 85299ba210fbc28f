"""How a caller's JSON values become a template's parameters."""

import contextlib
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.templates.parameters import ParameterSpec, ParameterType, Value, resolve, to_json
from services.platform.errors import InvalidArgument

NOW = datetime(2025, 3, 1, 0, 30, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
)


def spec(kind: str, *, required: bool = False, default: str | None = None) -> ParameterSpec:
    choices = ("daily", "weekly") if kind == "choice" else ()
    return ParameterSpec(
        name="it", type=ParameterType(kind), required=required, default=default, choices=choices, description="Says what it is."
    )


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("date", "2025-11-17", date(2025, 11, 17)),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("date", "today", date(2025, 3, 1)),
        ("date", "yesterday", date(2025, 2, 28)),
        ("month", "2025-11", "2025-11"),
        ("month", "this_month", "2025-03"),
        ("month", "last_month", "2025-02"),
        ("choice", "weekly", "weekly"),
        ("string", "x", "x"),
        ("string", "today", "today"),
        ("integer", 3.0, 3),
        ("boolean", False, False),
        ("table", "billing.gcp_billing_export_v1_X", "billing.gcp_billing_export_v1_X"),
        ("table", "acme-prod.billing.t-1", "acme-prod.billing.t-1"),
    ],
)
def test_what_fits_is_taken(kind: str, given: object, value: Value) -> None:
    assert resolve([spec(kind)], {"it": given}, now=NOW) == {"it": value}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        *[
            ("date", bad)
            for bad in (
                "2025-02-30",
                "2025-2-3",
                "20251117",
                "Today",
                "tomorrow",
                "2025-W01-1",
                "1999-12-31",
                "9999-12-31",
                "\u0662\u0660\u0662\u0665-11-17",
                "",
                20251117.0,
                True,
            )
        ],
        *[("month", bad) for bad in ("2025-13", "2025-00", "2025-1", "202511", "yesterday", "1999-12", "2025-11-01", 202511.0)],
        *[("choice", bad) for bad in ("monthly", "", "Daily", 1.0, ["daily"])],
        *[("integer", bad) for bad in (1.5, "1", True, float("inf"), float("nan"), 1e300)],
        *[("boolean", bad) for bad in (1.0, "true")],
        *[("string", bad) for bad in ("", "x" * 1025, "a\nb", 1.0, ["x"])],
        *[("table", bad) for bad in ("t", "a.b.c.d", "a.`b`", "d.t; DROP TABLE x", "../d.t", "d.t'", "Ä.b", "a..b")],
    ],
)
def test_what_does_not_fit_is_refused_by_name(kind: str, given: object) -> None:
    with pytest.raises(InvalidArgument) as refused:
        resolve([spec(kind)], {"it": given}, now=NOW)
    assert refused.value.field == "parameters.it"


def test_an_undeclared_key_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="it takes it") as refused:
        resolve([spec("date")], {"dat": "2025-11-17"}, now=NOW)
    assert refused.value.field == "parameters.dat"


@pytest.mark.parametrize("given", [{}, {"it": None}])
def test_a_required_one_must_be_there(given: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument, match="is required") as refused:
        resolve([spec("date", required=True)], given, now=NOW)
    assert refused.value.field == "parameters.it"


@pytest.mark.parametrize("given", [{}, {"it": None}])
def test_a_default_is_filled_in(given: dict[str, object]) -> None:
    values = resolve([spec("date", default="2025-01-01")], given, now=NOW)
    assert to_json(values) == {"it": "2025-01-01"}


@given(st.sampled_from(tuple(ParameterType)), JSON)
def test_any_json_is_taken_or_refused(kind: ParameterType, value: object) -> None:
    """Whatever is sent: a value of the declared type, or InvalidArgument; nothing else. What was taken is taken again from its JSON."""
    one = [spec(kind)]
    with contextlib.suppress(InvalidArgument):
        values = resolve(one, {"it": value}, now=NOW)
        assert resolve(one, to_json(values), now=NOW) == values


@pytest.mark.parametrize(
    ("zone", "scheduled", "fire_day", "expected"),
    [
        ("UTC", False, None, "2025-02-28"),
        ("America/New_York", False, None, "2025-02-27"),
        ("Asia/Tokyo", False, None, "2025-02-28"),
        ("America/New_York", True, date(2024, 3, 1), "2024-02-29"),
    ],
)
def test_yesterday_is_seen_from_the_stated_zone_or_from_the_slot(zone: str, scheduled: bool, fire_day: date | None, expected: str) -> None:
    """Half past midnight in UTC is still the day before in New York. A slot's day is given, in UTC."""
    one = replace(spec("date", default="yesterday"), zone=ZoneInfo(zone))
    assert to_json(resolve([one], {}, now=NOW, fire_day=fire_day, scheduled=scheduled)) == {"it": expected}


def test_a_schedule_has_its_own_default() -> None:
    one = replace(spec("date", default="today"), scheduled="yesterday")
    assert to_json(resolve([one], {}, now=NOW)) == {"it": "2025-03-01"}
    assert to_json(resolve([one], {}, now=NOW, scheduled=True)) == {"it": "2025-02-28"}
    assert to_json(resolve([one], {}, now=NOW, scheduled=True, unfilled=("it",))) == {}
