"""One template's faults, all at once: the loader's, the schema's and those of its SQL."""

import shutil
import sys
from pathlib import Path

import pytest

from services.platform.settings import REPOSITORY
from tools.check_template.__main__ import main

TEMPLATE = """\
description: Costs by service.
parameters:
  date: {type: date, default: yesterday}
  accept_less: {type: boolean}
steps:
  - id: stage
    type: bigquery.sql
    sql: own.sql#own_stage
    staging: x_staging_focus_cost_daily
    reads: [billing_cost_daily]
    finds: {days: INT64}
  - id: publish
    type: bigquery.publish
    needs: [stage]
    sql: own.sql#own_rows
    table: focus_cost_daily
    day: x_UsageDate
  - id: tell
    type: notify.slack
    when: always
"""
SQL = """\
-- name: own_stage
-- param: first_day DATE
SELECT COUNT(*) AS rows_staged, CAST(NULL AS STRING) AS missing, 1 AS days FROM billing_cost_daily AS b WHERE b.usage_date = @first_day

-- name: own_rows
SELECT s.x_UsageDate, s.ServiceName FROM x_staging_focus_cost_daily AS s
"""
KEYS = "attempts, cost, currency, day, id, ledger, needs, net_cost, only, sql, staging, table, timeout_seconds, type, when"
OWN = "gcp/cost/own"


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("bigquery", "gcp", "shared"):
        shutil.copytree(REPOSITORY / "configs" / folder, tmp_path / "configs" / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "configs"


def faults(configs: Path, template: str, sql: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    (configs / f"{OWN}.yml").write_text(template)
    (configs / f"{OWN}.sql").write_text(sql)
    monkeypatch.setattr(sys, "argv", ["check_template", f"configs/{OWN}.yml"])
    status = main()
    out, err = capsys.readouterr()
    assert status == (1 if err else 0)
    assert out == f"configs/{OWN}.yml: {f'{len(err.splitlines())} faults' if err else 'no faults'}\n"
    return err.splitlines()


def test_each_is_reported_by_the_part_that_finds_it(
    configs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a step that cannot be read the schema tells what else is wrong, and the SQL is looked at although nothing can be loaded."""
    template = TEMPLATE.replace("    day: x_UsageDate\n", "    colour: red\n").replace(
        "accept_less: {type: boolean}", "accept_less: {type: text}"
    )
    sql = SQL.replace("b.usage_date = ", "\n  b.usage = ").replace("s.ServiceName FROM", "s.Service FROM")
    first, *others = faults(configs, template, sql, monkeypatch, capsys)
    assert first.startswith(f"configs/{OWN}.sql:4:5: own_stage: Name usage not found inside b")
    assert [one.removeprefix(f"configs/{OWN}") for one in others] == [
        ".sql:7:25: own_rows: Name Service not found inside s",
        ".yml:4:23: type is `text`, but must be one of boolean, choice, date, email, export, integer, month, string, table",
        ".yml:12:5: a step needs `day`",
        f".yml:17:5: `colour` is no key here; use one of {KEYS}",
    ]


def test_what_a_step_composes_is_reported_at_the_step(
    configs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows lack columns of the table, and the script's last row lacks what the template promises later steps."""
    sql = SQL.replace("1 AS days", "'1' AS days").replace("CAST(NULL AS STRING) AS missing, ", "")
    said = [one.removeprefix(f"configs/{OWN}.yml:") for one in faults(configs, TEMPLATE, sql, monkeypatch, capsys)]
    row = "it returns one row: rows_staged INT64, missing STRING, days INT64"
    assert said[:2] == [
        f"6:5: the SQL of the step stage: the last SELECT of block own_stage lacks the column `missing`; {row}",
        "6:5: the SQL of the step stage: the last SELECT of block own_stage returns `days` as STRING, not INT64",
    ]
    assert said[2].startswith("12:5: the SQL of the step publish: ")


@pytest.mark.parametrize(
    "path", ["configs/gcp/cost/nothing.yml", "configs/gcp/cost/billing.sql", "configs/bigquery/tenant/x_meta_exports.sql"]
)
def test_another_file_is_no_template(configs: Path, path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["check_template", path])
    assert main() == 2
    assert "configs/PROVIDER/DOMAIN/TEMPLATE.yml" in capsys.readouterr().err
