"""The sample tenant's billing exports on the real emulator."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.oauth2 import service_account

from localcloud.sample import beside
from localcloud.sample import tenant as sample
from localcloud.sample.day import rows_of_day
from localcloud.sample.rows import late_usage_of_day
from localcloud.stack import Stack

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
    assert (late.row_count, late.elsewhere) == (8, 0), "in the partition of the day on which they arrived"
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


def test_commitments_cover_usage_in_all_three_ways_and_their_fees_add_up() -> None:
    """By a credit on resources, by a credit in dollars with fees that name what they pay for, and by a price of its own."""
    rows = list(rows_of_day(LAST_DAY, 2000))
    kinds = {credit["type"] for row in rows for credit in row["credits"]}
    wanted = {"COMMITTED_USAGE_DISCOUNT", "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE", "FEE_UTILIZATION_OFFSET"}
    assert kinds == {*wanted, "SUSTAINED_USAGE_DISCOUNT", "FREE_TIER", "PROMOTION"}

    covered = [row for row in rows if row.get("consumption_model") and row["consumption_model"]["description"] != "Default"]
    offsets = [credit["amount"] for row in rows for credit in row["credits"] if credit["type"] == "FEE_UTILIZATION_OFFSET"]
    assert covered
    assert sum(row["cost"] for row in covered) == pytest.approx(-sum(offsets))
    assert {row["subscription"]["instance_id"] for row in covered} == {
        row["subscription"]["instance_id"] for row in rows if any(credit["type"] == "FEE_UTILIZATION_OFFSET" for credit in row["credits"])
    }
    for row in covered:
        assert float(row["cost_at_effective_price_default"]) == row["cost_at_list"]
        assert row["cost"] == pytest.approx(0.75 * row["cost_at_list"], abs=1e-6)
    fees = [row for row in rows if row["sku"]["description"].startswith("Commitment")]
    assert len(fees) == 5
    assert all(row["subscription"] and row["cost"] > 0 for row in fees)
    assert [{label["key"] for label in row["labels"]} for row in fees if row["labels"]] == [
        {"goog-originating-sku-id", "goog-originating-service-id"}
    ]


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
