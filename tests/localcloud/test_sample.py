"""The sample tenant's billing export on the real emulator."""

import json
from datetime import date, timedelta
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.oauth2 import service_account

from localcloud import sample
from localcloud.sample_rows import rows_of_day
from localcloud.stack import Stack

LAST_DAY = date(2025, 11, 17)
BY_DAY = """
SELECT DATE(usage_start_time) AS day, COUNT(*) AS row_count, SUM(cost) AS cost,
  SUM((SELECT SUM(credit.amount) FROM UNNEST(credits) AS credit)) AS credits
FROM `{table}` GROUP BY day ORDER BY day
"""


def expected(count: int) -> dict[date, tuple[int, float, float]]:
    days = [LAST_DAY - timedelta(days=back) for back in (6, 5, 4, 2, 1, 0)]
    found = {}
    for day in days:
        rows = list(rows_of_day(day, count))
        credited = sum(credit["amount"] for row in rows for credit in row["credits"])
        found[day] = (len(rows), round(sum(row["cost"] for row in rows), 6), round(credited, 6))
    return found


def test_loading_twice_leaves_the_same_rows(own_emulators: Stack) -> None:
    """Sums of cost and credits by day agree with what was generated, after one load and after a second; one day of seven has no rows."""
    bigquery_host = own_emulators.env["BIGQUERY_EMULATOR_HOST"]
    for _ in range(2):
        loaded = sample.load(bigquery_host, rows_per_day=300, last_day=LAST_DAY)

        with bigquery.Client(sample.PROJECT, AnonymousCredentials(), client_options={"api_endpoint": bigquery_host}) as client:  # type: ignore[no-untyped-call]
            rows = list(client.query_and_wait(BY_DAY.format(table=loaded.table)))
        assert {row.day: (row.row_count, round(row.cost, 6), round(row.credits, 6)) for row in rows} == expected(300)
        assert loaded.empty_day == LAST_DAY - timedelta(days=3)
        assert loaded.rows == 1800


def test_a_day_is_the_same_every_time_and_holds_the_awkward_cases() -> None:
    rows = list(rows_of_day(LAST_DAY, 2000))

    assert rows == list(rows_of_day(LAST_DAY, 2000))
    assert len({row["service"]["description"] for row in rows}) >= 6
    assert {row["cost_type"] for row in rows} == {"regular", "adjustment", "tax"}
    assert any(row["project"] is None for row in rows)
    assert any(not row["labels"] for row in rows)
    assert any(len(row["credits"]) == 2 for row in rows)
    assert any(row["cost"] < 0 for row in rows)
    assert {row["usage_start_time"].date() for row in rows} == {LAST_DAY}


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
