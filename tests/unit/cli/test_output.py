"""What is printed."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from convergence.auth.v1 import tenant_pb2
from convergence.cli.commands.tenant.costs import columns_of, days_or_default, settledness
from convergence.cli.commands.tenant.costs_chart import series_of
from convergence.cli.output.bars import Series, stacked
from convergence.cli.output.cells import ago, amount, dollars, moment, shown, size, span
from convergence.cli.output.dialect import as_dict
from convergence.cli.output.printer import Printer
from convergence.cli.output.screen import Screen
from convergence.cli.output.table import column, number, plain
from convergence.executor.v1 import cost_pb2, run_pb2
from google.protobuf.timestamp_pb2 import Timestamp

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
COLUMNS = (column("NAME", lambda row: row[0]), number("ROWS", lambda row: row[1]))


def printer(*, is_json: bool = False, is_terminal: bool = False) -> tuple[Printer, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    consoles = [Screen(file=file, force_terminal=is_terminal, width=100, highlight=False, markup=False) for file in (out, err)]
    return Printer(is_json=is_json, out=consoles[0], err=consoles[1]), out, err


def test_an_empty_list_is_an_empty_array_for_programs_and_a_remark_for_people() -> None:
    to_json, out, err = printer(is_json=True)
    to_json.rows([], COLUMNS, empty="No runs.")
    assert json.loads(out.getvalue()) == []
    assert err.getvalue() == ""

    to_people, out, err = printer()
    to_people.rows([], COLUMNS, empty="No runs.")
    assert out.getvalue() == ""
    assert err.getvalue() == "No runs.\n"


def test_a_pipe_gets_aligned_text_that_is_never_cut_off() -> None:
    rows = [("a" * 200, "1"), ("line\nbreak", "1,000")]
    lines = plain(COLUMNS, rows).splitlines()
    assert lines[0] == "NAME" + " " * 196 + "   ROWS"
    assert lines[1] == "a" * 200 + "      1"
    assert lines[2].startswith("line break ")

    to_pipe, out, _ = printer()
    to_pipe.rows(rows, COLUMNS, empty="")
    assert out.getvalue().splitlines() == lines


def test_a_terminal_gets_a_table_and_no_escape_of_a_tenant_s() -> None:
    to_terminal, out, _ = printer(is_terminal=True)
    to_terminal.rows([("\x1b]0;title\x07[bold]x", "1")], COLUMNS, empty="")
    assert "\x1b]0;" not in out.getvalue()
    assert "[bold]x" in out.getvalue()
    to_pipe, out, _ = printer()
    to_pipe.fields([("name", "\x1b[2Jx")])
    assert "\x1b" not in out.getvalue()


def test_messages_are_printed_as_rest_prints_them() -> None:
    tenant = tenant_pb2.Tenant(tenant_id="t", max_export_bytes=5)
    assert as_dict(tenant) == {
        "tenant_id": "t",
        "company_name": "",
        "admin_email": "",
        "status": "",
        "plan_name": "",
        "subscription_status": "",
        "max_export_bytes": "5",
        "location": "",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (span(0.25), "250 ms"),
        (span(12), "12.0 s"),
        (span(7200), "2 h"),
        (size(512), "512 B"),
        (size(1536), "1.5 KiB"),
        (dollars(0), "$0.00"),
        (dollars(1234.5), "$1,234.50"),
        (dollars(0.0021), "$0.0021"),
        (dollars(2e-6), "<$0.0001"),
        (amount("-12.345678901", "EUR"), "-12.35 EUR"),
        (amount("", "EUR"), "-"),
        (shown(value=True), "yes"),
        (shown(""), "-"),
        (shown(12345), "12,345"),
        (ago(NOW - timedelta(minutes=5), NOW), "5 min"),
        (ago(None, NOW), "-"),
    ],
)
def test_values_are_as_people_read_them(text: str, expected: str) -> None:
    assert text == expected


def test_a_time_is_utc_and_what_is_not_set_is_a_hyphen() -> None:
    run = run_pb2.Run(started_at=Timestamp(seconds=1_795_694_400))
    assert moment(run, "started_at") == "2026-11-26T12:00:00Z"
    assert moment(run, "completed_at") == "-"


def test_bars_add_up_to_their_sum_whatever_is_rounded() -> None:
    series = [Series(name=f"s{place}", values=[1.0, 0.5]) for place in range(7)]
    first, second, _, legend = stacked(["2026-11-01", "2026-11-02"], series, width=60)
    bars = [line.plain[12:].partition("  ")[0] for line in (first, second)]
    assert len(bars[0]) == 2 * len(bars[1])
    assert len(set(bars[0])) == 7, "groups differ without colours, too"
    assert first.plain.endswith("7.00")
    assert legend.plain.startswith("█ s0  ▓ s1")


def test_credits_are_not_drawn_and_nothing_at_all_is_no_error() -> None:
    line, *_ = stacked(["all"], [Series(name="a", values=[-5.0])], width=40)
    assert line.plain == "all    -5.00"


def cost(period: str, service: str, value: str, *, is_rest: bool = False) -> cost_pb2.Cost:
    return cost_pb2.Cost(
        period=period, currency="USD", group={} if is_rest else {"service": service}, cost=value, is_rest=is_rest, groups=3
    )


def test_costs_become_series_by_group_with_zero_where_a_period_has_none() -> None:
    costs = [cost("2026-11-01", "a", "1"), cost("2026-11-02", "b", "2"), cost("2026-11-02", "", "3", is_rest=True)]
    periods, series = series_of(costs)
    assert periods == ["2026-11-01", "2026-11-02"]
    assert {one.name: one.values for one in series} == {"a": [1.0, 0.0], "b": [0.0, 2.0], "others": [0.0, 3.0]}
    assert [one.title for one in columns_of(costs)] == ["PERIOD", "SERVICE", "COST"]
    assert columns_of(costs)[1].text(costs[2]) == "(the other 3)"


def test_without_days_the_last_thirty_are_asked_for() -> None:
    assert days_or_default("", "", NOW.date()) == ("2026-10-27", "2026-11-25")
    assert days_or_default("", "2026-03-31", NOW.date()) == ("2026-03-02", "2026-03-31")
    assert days_or_default("", "nonsense", NOW.date()) == ("nonsense", "nonsense")


def test_an_answer_about_costs_says_how_far_it_can_be_trusted() -> None:
    assert settledness(cost_pb2.CostDaysSummary(final=3)) == []
    lines = settledness(cost_pb2.CostDaysSummary(open=1, settling=2, holes=["2026-11-03"], behind=1))
    assert lines[0] == "Days: 1 open (rows are still missing), 2 settling, 0 final."
    assert "2026-11-03" in lines[1]
    assert "FOCUS" in lines[2]
