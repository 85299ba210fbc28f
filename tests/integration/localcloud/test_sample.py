"""The sample tenant's billing exports on the real emulator."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.oauth2 import service_account

from localcloud.sample import beside
from localcloud.sample import tenant as sample
from localcloud.sample.day import rows_of_day
from localcloud.sample.rows import late_usage_of_day
from localcloud.stack import Stack
from tests.support.executor.focus_reference import DOLLARS, PRICE, RESOURCES, as_billed, commitments

LAST_DAY = date(2025, 11, 17)
BY_DAY = """
SELECT DATE(usage_start_time) AS day, COUNT(*) AS row_count, SUM(cost) AS cost,
  SUM((SELECT SUM(credit.amount) FROM UNNEST(credits) AS credit)) AS credits
FROM `{table}` GROUP BY day ORDER BY day
"""
LATE = """
SELECT COUNT(*) AS row_count, COUNTIF(_PARTITIONTIME != TIMESTAMP_TRUNC(export_time, DAY)) AS elsewhere
FROM `{table}` WHERE export_time >= TIMESTAMP_ADD(usage_start_time, INTERVAL 48 HOUR)
"""


def expected(count: int, *backs: int) -> dict[date, tuple[int, float, float]]:
    """Of days so many before LAST_DAY. What is two days late has not arrived for LAST_DAY yet, and for the day before only in part."""
    found = {}
    for day in (LAST_DAY - timedelta(days=back) for back in backs):
        late = [row for row in late_usage_of_day(day, count) if row["export_time"].date() <= LAST_DAY + timedelta(days=1)]
        rows = [*rows_of_day(day, count), *late]
        credited = sum(credit["amount"] for row in rows for credit in row["credits"])
        found[day] = (len(rows), round(sum(row["cost"] for row in rows), 6), round(credited, 6))
    return found


def test_loading_twice_leaves_the_same_rows(own_emulators: Stack) -> None:
    """Sums of cost and credits by day agree with what was generated, after one load and after a second; one day of seven has no rows. The
    standard export begins three days earlier; beside both are other kinds of tables.
    """
    bigquery_host = own_emulators.env["BIGQUERY_EMULATOR_HOST"]
    for _ in range(2):
        loaded = sample.load(bigquery_host, rows_per_day=100, last_day=LAST_DAY)

    with bigquery.Client(sample.PROJECT, AnonymousCredentials(), client_options={"api_endpoint": bigquery_host}) as client:  # type: ignore[no-untyped-call]
        for table, backs in ((loaded.table, (6, 5, 4, 2, 1, 0)), (loaded.standard, (9, 8, 7, 6, 5, 4, 2, 1, 0))):
            rows = list(client.query_and_wait(BY_DAY.format(table=table)))
            assert {row.day: (row.row_count, round(row.cost, 6), round(row.credits, 6)) for row in rows} == expected(100, *backs)
            assert client.get_table(table).time_partitioning.field is None
        [late] = client.query_and_wait(LATE.format(table=loaded.table))
        kinds = {table.table_id: table.table_type for table in client.list_tables(f"{sample.PROJECT}.{sample.DATASET}")}
        [focus] = client.list_tables(f"{sample.PROJECT}.{beside.FOCUS_DATASET}")
        [seen] = client.query_and_wait(f"SELECT COUNT(*) AS row_count FROM {sample.DATASET}.{beside.VIEW}")
    assert (late.row_count, late.elsewhere) == (10, 0), "in the partition of the day on which they arrived"
    assert kinds == {sample.TABLE: "TABLE", sample.STANDARD_TABLE: "TABLE", beside.PRICING_TABLE: "TABLE", beside.VIEW: "VIEW"}
    assert focus.table_id == beside.FOCUS_TABLE
    assert (loaded.empty_day, loaded.rows, seen.row_count) == (LAST_DAY - timedelta(days=3), loaded.rows, loaded.rows)


def test_a_day_is_the_same_every_time_and_holds_the_awkward_cases() -> None:
    rows = list(rows_of_day(LAST_DAY, 2000))

    assert rows == list(rows_of_day(LAST_DAY, 2000))
    assert len(rows) == 2000
    assert [len(list(rows_of_day(LAST_DAY, count))) for count in (0, 1, 6, 7, 8)] == [0, 1, 6, 7, 8]
    assert len({row["service"]["description"] for row in rows}) >= 6
    assert {row["cost_type"] for row in rows} == {"regular", "adjustment", "rounding_error", "tax"}
    assert any(row["project"] is None for row in rows)
    assert any(not row["labels"] for row in rows)
    assert any(len(row["credits"]) == 2 for row in rows)
    assert any(row["cost"] < 0 for row in rows)
    assert {row["usage_start_time"].date() for row in rows} == {LAST_DAY}
    assert {row["seller_name"] for row in rows if row.get("transaction_type") == "GOOGLE" and "seller_name" in row} == {None}
    assert {row["seller_name"] for row in rows if row.get("transaction_type") == "THIRD_PARTY_AGENCY"} == {"Example Search, Inc."}


def test_commitments_cover_usage_in_all_three_ways() -> None:
    """By a credit on machines, by a credit in dollars with fees that name what they pay for, and by a price of its own: a quarter of the
    hours each in full, beyond, in part and not at all. What is used and what pays for it lie in the same hour.
    """
    rows = list(rows_of_day(LAST_DAY, 2000))
    kinds = {credit["type"] for row in rows for credit in row["credits"]}
    wanted = {"COMMITTED_USAGE_DISCOUNT", "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE", "FEE_UTILIZATION_OFFSET"}
    assert kinds == {*wanted, "SUSTAINED_USAGE_DISCOUNT", "FREE_TIER", "PROMOTION"}

    found = {(rule, name): one for (rule, _, _, name), one in commitments(as_billed(row) for row in rows).items()}
    exact = pytest.approx
    machines, prices = found[RESOURCES, "us-central1/n2d core"], found[PRICE, "5f7c1a52-8d0e-4b7b-9a3e-1c2d3e4f5a6b"]
    assert [float(one.utilization) for one in (machines, prices)] == exact([0.65, 0.65], abs=1e-4)
    assert (float(machines.fees), float(machines.savings)) == exact((24 * 0.138608, 0.65 * 24 * 8 * (0.027502 - 0.017326)), abs=1e-4)
    assert (float(prices.fees), float(prices.savings)) == exact((24 * 0.75, 0.65 * 24 * 0.25), abs=1e-4)
    until_noon = found[RESOURCES, "us-central1/core"]
    assert (float(until_noon.fees), float(until_noon.contracted), float(until_noon.waste)) == exact(
        (12 * 0.07966, 12 * 0.126444, 0), abs=1e-4
    )
    dollars = [found[DOLLARS, sku] for sku in ("3AC2-4C61-9C0B", "9F1A-5D27-B830")]
    assert [float(one.effective / one.contracted) for one in dollars] == exact([0.83, 0.83], abs=1e-4)
    unused = found[PRICE, "9e8d7c6b-5a49-4382-91f0-e1d2c3b4a596"]
    assert (float(unused.waste), float(unused.contracted)) == exact((24 * 0.83 * 0.35, 0), abs=1e-4)
    assert len(found) == 6


@pytest.mark.parametrize("count", [100, 200])
def test_a_small_day_has_every_commitment(count: int) -> None:
    """Among them one for two projects, and one that ends at noon while its machines run on."""
    rows = [as_billed(row) for row in rows_of_day(LAST_DAY, count)]
    found = {(rule, name): one for (rule, _, _, name), one in commitments(rows).items()}
    assert len(found) == 6
    assert all(one.waste or rule != PRICE for (rule, _), one in found.items())
    covered = {row["sku_id"]: set[Any]() for row in rows if row["credits"]}
    for row in rows:
        covered.get(row["sku_id"], set()).update(row["project_id"] for credit in row["credits"] if "COMMITTED" in credit["type"])
    assert covered["6D0A-3F27-B9E4"] == {"acme-gcp-project", "acme-data-lake"}
    ending = {bool(row["credits"]): row["usage_start_time"].hour for row in rows if row["sku_id"] == "2E27-4F75-95CD"}
    assert ending[True] < 12 <= ending[False]


def test_googles_focus_export_agrees_with_the_bill() -> None:
    """By day: BilledCost is cost after all credits, and of one currency."""
    days = [LAST_DAY - timedelta(days=1), LAST_DAY]
    rows = [row for day in days for row in [*rows_of_day(day, 500), *late_usage_of_day(day, 500)]]
    found = beside.focus_rows(rows).to_pylist()
    assert {row["BillingCurrency"] for row in found} == {"USD"}
    for day in days:
        billed = [row for row in rows if row["usage_start_time"].date() == day]
        net = sum(row["cost"] + sum(credit["amount"] for credit in row["credits"]) for row in billed)
        assert float(sum(row["BilledCost"] for row in found if row["ChargePeriodStart"].date() == day)) == pytest.approx(net, abs=1e-4)


def test_the_credentials_are_a_request_body_with_a_key_that_signs(tmp_path: Path) -> None:
    """Made once, for the owner's eyes only."""
    path = tmp_path / "sample" / "credentials.json"

    sample.write_credentials(path)
    first = path.read_text()
    sample.write_credentials(path)

    assert path.read_text() == first
    assert path.stat().st_mode & 0o777 == 0o600
    body = json.loads(first)
    assert body["provider"] == "GCP"
    assert body["credentials"]["project_id"] == "acme-sample-project"
    account = json.loads(body["credentials"]["service_account_json"])
    assert account["type"] == "service_account"
    service_account.Credentials.from_service_account_info(account).sign_bytes(b"anything")  # type: ignore[no-untyped-call]
