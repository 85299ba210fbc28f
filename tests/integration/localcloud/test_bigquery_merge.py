"""A MERGE inside of a transaction does what it does outside: the same rows and counts, seen by the transaction alone until it commits."""

from collections.abc import Iterator

import pytest
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from localcloud.stack import Stack

ROWS = "SELECT id, amount FROM merged.{table} ORDER BY id, amount"
MERGES = {
    "all clauses": """
        MERGE merged.{table} AS t USING (SELECT 1 AS id, 10 AS amount UNION ALL SELECT 3, 30 UNION ALL SELECT 9, 90) AS s ON t.id = s.id
        WHEN MATCHED AND s.amount > 20 THEN UPDATE SET amount = t.amount + s.amount
        WHEN MATCHED THEN DELETE
        WHEN NOT MATCHED BY TARGET THEN INSERT (id, amount) VALUES (s.id, s.amount)
        WHEN NOT MATCHED BY SOURCE AND t.id = 4 THEN DELETE
        WHEN NOT MATCHED BY SOURCE THEN UPDATE SET amount = -t.amount""",
    "rows as they are": """
        MERGE merged.{table} AS t USING (SELECT 1 AS id, 10 AS amount UNION ALL SELECT 8, 80) AS s ON t.id = s.id AND t.amount = s.amount
        WHEN NOT MATCHED THEN INSERT ROW""",
    "replace": """
        MERGE merged.{table} AS t USING (SELECT 7 AS id, 70 AS amount) AS s ON FALSE
        WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (s.id, s.amount)""",
    "replace some": """
        MERGE merged.{table} AS t USING (SELECT 7 AS id, CASE WHEN TRUE THEN 70 END AS amount UNION ALL SELECT 8, 80) AS s ON FALSE
        WHEN NOT MATCHED BY TARGET AND s.id > 7 THEN INSERT (amount, id) VALUES (s.amount + 1, s.id)
        WHEN NOT MATCHED BY SOURCE AND t.id IN UNNEST([2, 4]) THEN DELETE""",
    "replace by its own rows": """
        MERGE merged.{table} AS t USING (SELECT o.id + 10 AS id, o.amount FROM merged.{table} AS o) AS s ON FALSE
        WHEN NOT MATCHED BY SOURCE AND t.id < 4 THEN DELETE WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (s.id, s.amount)""",
    "itself": """
        MERGE merged.{table} AS t USING merged.{table} AS s ON t.id = s.id + 1 AND t.id > 2
        WHEN MATCHED THEN UPDATE SET amount = s.amount""",
}


@pytest.fixture(scope="module")
def client(own_emulators: Stack) -> Iterator[bigquery.Client]:
    host = own_emulators.env["BIGQUERY_EMULATOR_HOST"]
    with bigquery.Client("merging", AnonymousCredentials(), client_options={"api_endpoint": host}) as client:  # type: ignore[no-untyped-call]
        client.create_dataset("merged", exists_ok=True)
        yield client


def filled(client: bigquery.Client, table: str) -> str:
    values = ", ".join(f"({number}, {number * 100})" for number in range(1, 6))
    client.query_and_wait(
        f"CREATE OR REPLACE TABLE merged.{table} (id INT64, amount INT64); INSERT INTO merged.{table} (id, amount) VALUES {values}"
    )
    return table


def rows(client: bigquery.Client, table: str) -> list[tuple[int, int]]:
    return [tuple(row) for row in client.query_and_wait(ROWS.format(table=table))]


def counts(job: bigquery.QueryJob) -> tuple[object, ...]:
    return job.statement_type, job.num_dml_affected_rows, job.dml_stats


@pytest.mark.parametrize("name", MERGES)
def test_it_does_the_same_as_outside(client: bigquery.Client, name: str) -> None:
    """Also on rows that the transaction has made or changed itself, and after another MERGE."""
    outside, inside = filled(client, "outside"), filled(client, "inside")
    steps = (
        "INSERT INTO merged.{table} (id, amount) VALUES (6, 600)",
        "UPDATE merged.{table} SET amount = amount + 1 WHERE id IN (2, 6)",
        MERGES[name],
        MERGES["all clauses"],
    )
    alone = []
    for step in steps:
        alone.append(client.query(step.format(table=outside)))
        alone[-1].result()
    script = client.query("; ".join(("BEGIN TRANSACTION", *(step.format(table=inside) for step in steps), "COMMIT TRANSACTION")))
    script.result()
    children = [counts(one) for one in client.list_jobs(parent_job=script.job_id) if one.statement_type in {"INSERT", "UPDATE", "MERGE"}]
    assert rows(client, inside) == rows(client, outside)
    assert sorted(map(repr, children)) == sorted(repr(counts(one)) for one in alone)


def test_a_replacement_that_fails_has_deleted_nothing(client: bigquery.Client) -> None:
    """Outside of a transaction, too: the rows are deleted before the source is read."""
    table = filled(client, "failed")
    before = rows(client, table)
    source = "SELECT IF(id > 1, ERROR('not this one'), id) AS id FROM UNNEST([1, 2]) AS id"
    with pytest.raises(BadRequest, match="not this one"):
        client.query_and_wait(
            f"MERGE merged.{table} AS t USING ({source}) AS s ON FALSE WHEN NOT MATCHED BY SOURCE THEN DELETE "
            "WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)"
        )
    assert rows(client, table) == before


def test_it_is_taken_back_with_its_transaction_and_seen_by_none_before(client: bigquery.Client) -> None:
    table = filled(client, "taken_back")
    before, merge = rows(client, table), MERGES["all clauses"].format(table=table)
    seen = f"SELECT SUM(amount) AS total FROM merged.{table}"
    within = f"SELECT IF(SUM(amount) = {90 + 330 - 200 - 500}, 'seen', ERROR('not seen')) AS is_seen FROM merged.{table}"
    [row] = client.query_and_wait(f"BEGIN TRANSACTION; {merge}; {within}; ROLLBACK TRANSACTION; {seen}")
    assert (row.total, rows(client, table)) == (sum(amount for _, amount in before), before)
    # Of a source that matches twice nothing remains, nor of what was before it in the transaction.
    twice = f"MERGE merged.{table} AS t USING (SELECT 1 AS id FROM UNNEST([1, 2])) AS s ON t.id = s.id WHEN MATCHED THEN DELETE"
    with pytest.raises(BadRequest, match="must match at most one source row"):
        client.query_and_wait(f"BEGIN TRANSACTION; DELETE FROM merged.{table} WHERE id = 5; {twice}; COMMIT TRANSACTION")
    assert rows(client, table) == before


def test_a_transaction_in_a_transaction_is_refused_and_nothing_of_it_remains(client: bigquery.Client) -> None:
    table = filled(client, "nested")
    before = rows(client, table)
    with pytest.raises(BadRequest, match="transaction"):
        client.query_and_wait(f"BEGIN TRANSACTION; DELETE FROM merged.{table} WHERE TRUE; BEGIN TRANSACTION; COMMIT TRANSACTION")
    assert rows(client, table) == before
