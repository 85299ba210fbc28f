"""The reckoning of the table of dollars, from made-up counts."""

from collections import Counter

import pytest

from benchmarks.reckoning import REFERENCE_USD, Measured, costs, references, section, statements
from benchmarks.sections import begin, end, sections_of, with_section, with_sections

FOUND = Measured(
    idle_seconds=60.0,
    idle=Counter({("auth", "s", "tenant_usage_quotas"): 3}),
    tick=2,
    trigger=5,
    reset=7,
    api_run_seconds=10.0,
    api_run=Counter({("auth", "s", "tenant_usage_quotas"): 5, ("executor", "s", "x_meta_pipeline_runs"): 10}),
    scheduled_run_seconds=20.0,
    scheduled_run=Counter({("scheduler", "s", "pipeline_execution_queue"): 20}),
    jobs_of_a_run=7.0,
    live_seconds=30.0,
    live=Counter(
        {("auth", "s", "tenant_usage_quotas"): 6, ("scheduler", "s", "pipeline_execution_queue"): 3, ("executor", "s", "x_staging"): 99}
    ),
    key_seconds=60.0,
    key=3,
    watched_seconds=60.0,
    watcher=1,
    watcher_elsewhere=2,
)


def test_a_view_counts_as_the_tables_that_it_reads() -> None:
    spent = Counter(
        {
            ("scheduler", "s", "runnable_tenants"): 2,
            ("scheduler", "s", "pipeline_execution_queue"): 1,
            ("auth", "s", "tenant_usage_quotas"): 4,
        }
    )
    assert (references(spent), references(spent, "scheduler")) == (11, 7)


def test_what_depends_on_time_is_extrapolated_and_idle_work_counted_once() -> None:
    """A run of ten seconds is fifty short of a minute, in which auth spends 0.15 a second more than when idle, and the scheduler 0.1."""
    idle, api, scheduled, key, watcher, elsewhere = (line.references for line in costs(FOUND))
    assert idle == pytest.approx(3 * 1440 + 288 * 2 + 24 * 5 + 7)
    assert api == pytest.approx(1000 * (15 - 0.05 * 10 + 50 * 0.15))
    assert scheduled == pytest.approx(1000 * (20 - 0.05 * 20 + 40 * (0.15 + 0.1) - 7))
    assert (key, watcher, elsewhere) == (3 * 1440, 1440, 2880)


def test_the_run_is_listed_by_statement_without_idle_work() -> None:
    """Half a reference of auth's is idle work: what is left is rounded."""
    assert statements(FOUND) == [
        "| executor | s | x_meta_pipeline_runs 10 | 10 | 0.596 |",
        "| auth | s | tenant_usage_quotas 4 | 4 | 0.238 |",
    ]


def test_google_s_minimum() -> None:
    assert pytest.approx(0.0000596, rel=1e-3) == REFERENCE_USD


def test_a_section_is_replaced_and_the_rest_of_the_report_kept() -> None:
    new = section(costs(FOUND), (1, 2, 3, 4, 5, 6), before_at="a", after_at="b", run=FOUND)
    report = with_sections("# What it costs\n", {"dollars": "old", "path": "| path |"})
    assert report == (f"# What it costs\n\n{begin('path')}\n| path |\n{end('path')}\n\n{begin('dollars')}\nold\n{end('dollars')}\n")
    assert sections_of(with_section(report, "dollars", new)) == {"dollars": new, "path": "| path |"}
    assert with_section(report, "dollars", "old") == report
    assert (sections_of("nothing"), sections_of(with_section("# Empty", "path", "x"))) == ({}, {"path": "x"})
