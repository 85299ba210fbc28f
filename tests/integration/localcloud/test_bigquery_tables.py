"""The emulator's tables behave like BigQuery's where local-bigquery's do not: ingestion partitions, and what can be read."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.api_core.exceptions import BadRequest, InvalidArgument
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from localcloud.stack import Stack

BY_INGESTION = bigquery.TimePartitioning()
COLUMNS = [bigquery.SchemaField("id", "INTEGER", mode="REQUIRED"), bigquery.SchemaField("labels", "STRING", mode="REPEATED")]
ROWS = [{"id": 1, "labels": ["a"]}, {"id": 2, "labels": []}]
TABLE = "partitioned.by_ingestion"


@pytest.fixture(scope="module")
def client(own_emulators: Stack) -> Iterator[bigquery.Client]:
    host = own_emulators.env["BIGQUERY_EMULATOR_HOST"]
    with bigquery.Client("partitions", AnonymousCredentials(), client_options={"api_endpoint": host}) as client:  # type: ignore[no-untyped-call]
        client.create_dataset("partitioned", exists_ok=True)
        yield client


@pytest.fixture(scope="module")
def reader(own_emulators: Stack) -> Iterator[BigQueryReadClient]:
    address = own_emulators.env["BIGQUERY_STORAGE_EMULATOR_HOST"]
    with grpc.insecure_channel(address.removeprefix("http://")) as channel:
        yield BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]


def session(reader: BigQueryReadClient, table: str, restriction: str = "") -> types.ReadSession:
    project, dataset, name = table.split(".")
    wanted = types.ReadSession(
        table=f"projects/{project}/datasets/{dataset}/tables/{name}",
        data_format=types.DataFormat.ARROW,
        read_options=types.ReadSession.TableReadOptions(row_restriction=restriction),
    )
    return reader.create_read_session(parent="projects/partitions", read_session=wanted)


def over_rest(client: bigquery.Client) -> None:
    table = bigquery.Table(f"partitions.{TABLE}", COLUMNS)
    table.time_partitioning = BY_INGESTION
    client.create_table(table)
    assert client.insert_rows_json(TABLE, ROWS) == []


def by_a_load_job(client: bigquery.Client) -> None:
    config = bigquery.LoadJobConfig(time_partitioning=BY_INGESTION, schema=COLUMNS, write_disposition="WRITE_TRUNCATE")
    client.load_table_from_json(ROWS, TABLE, job_config=config).result()


def over_rest_and_replaced_by_a_load_job(client: bigquery.Client) -> None:
    over_rest(client)
    config = bigquery.LoadJobConfig(schema=COLUMNS, write_disposition="WRITE_TRUNCATE")
    client.load_table_from_json(ROWS, TABLE, job_config=config).result()


def as_the_result_of_a_query(client: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(destination=f"partitions.{TABLE}", time_partitioning=BY_INGESTION)
    client.query_and_wait("SELECT 1 AS id, ['a'] AS labels UNION ALL SELECT 2, []", job_config=config)


def by_sql(client: bigquery.Client) -> None:
    client.query_and_wait(f"CREATE TABLE {TABLE} (id INT64 NOT NULL, labels ARRAY<STRING>) PARTITION BY _PARTITIONDATE")
    client.query_and_wait(f"INSERT INTO {TABLE} (id, labels) SELECT 1, ['a'] UNION ALL SELECT 2, []")


@pytest.mark.parametrize("make", [over_rest, by_a_load_job, over_rest_and_replaced_by_a_load_job, as_the_result_of_a_query, by_sql])
def test_a_table_partitioned_by_ingestion_is_read_by_partition(
    client: bigquery.Client, reader: BigQueryReadClient, make: Callable[[bigquery.Client], None]
) -> None:
    """However it was made: the pseudo-column is the day on which rows came, and is not among the columns."""
    client.delete_table(TABLE, not_found_ok=True)
    make(client)

    found = client.get_table(TABLE)
    assert ([column.name for column in found.schema], found.time_partitioning.field) == (["id", "labels"], None)
    today = "_PARTITIONTIME = TIMESTAMP_TRUNC(CURRENT_TIMESTAMP(), DAY)"
    [row] = client.query_and_wait(f"SELECT COUNTIF({today}) AS new, COUNT(*) AS every, SUM(ARRAY_LENGTH(labels)) AS labels FROM {TABLE}")
    assert (row.new, row.every, row.labels) == (2, 2, 1)
    assert session(reader, f"partitions.{TABLE}", "_PARTITIONTIME >= TIMESTAMP '2020-01-01'").estimated_row_count == 2
    assert session(reader, f"partitions.{TABLE}", "_PARTITIONTIME < TIMESTAMP '2020-01-01'").estimated_row_count == 0


def test_views_are_not_read_by_the_storage_api_but_what_a_query_selects_from_them_is(
    client: bigquery.Client, reader: BigQueryReadClient
) -> None:
    client.query_and_wait("CREATE VIEW partitioned.seen AS SELECT 1 AS id")
    client.query_and_wait("CREATE MATERIALIZED VIEW partitioned.kept AS SELECT 1 AS id")

    for name in ("seen", "kept"):
        with pytest.raises(InvalidArgument, match="non-table entities cannot be read with the storage API"):
            session(reader, f"partitions.partitioned.{name}")

    job = client.query("SELECT id FROM partitioned.seen")
    job.result()
    assert session(reader, str(job.destination)).estimated_row_count == 1


def test_tables_made_at_the_same_moment_do_not_get_in_each_others_way(client: bigquery.Client) -> None:
    names = [f"partitioned.at_once_{number}" for number in range(3)]

    def load(name: str) -> int:
        config = bigquery.LoadJobConfig(time_partitioning=BY_INGESTION, schema=COLUMNS, write_disposition="WRITE_TRUNCATE")
        client.load_table_from_json(ROWS, name, job_config=config).result()
        [row] = client.query_and_wait(f"SELECT COUNT(*) AS rows_of_today FROM {name} WHERE _PARTITIONTIME IS NOT NULL")
        found: int = row.rows_of_today
        return found

    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(load, names)) == [2] * len(names)


def test_a_table_says_when_its_rows_changed_last(client: bigquery.Client) -> None:
    """At once, whatever changed them; not for what changes nothing."""
    client.query_and_wait("CREATE TABLE partitioned.versioned (id INT64)")
    client.query_and_wait("CREATE TABLE partitioned.beside (id INT64)")

    def load() -> None:
        config = bigquery.LoadJobConfig(schema=COLUMNS[:1], write_disposition="WRITE_APPEND")
        client.load_table_from_json([{"id": 4}], "partitioned.versioned", job_config=config).result()

    def query(sql: str) -> Callable[[], object]:
        return lambda: client.query_and_wait(sql)

    changes: list[Callable[[], object]] = [
        query("INSERT INTO partitioned.versioned (id) VALUES (1)"),
        query("UPDATE partitioned.versioned SET id = 2 WHERE id = 1"),
        query("BEGIN TRANSACTION; UPDATE partitioned.versioned SET id = 3 WHERE id = 2; COMMIT TRANSACTION"),
        load,
        lambda: client.insert_rows_json("partitioned.versioned", [{"id": 5}]),
        query("DELETE FROM partitioned.versioned WHERE id = 3"),
    ]
    for change in changes:
        before = client.get_table("partitioned.versioned").modified
        change()
        assert before < client.get_table("partitioned.versioned").modified

    last = client.get_table("partitioned.versioned").modified
    for nothing in (
        query("UPDATE partitioned.versioned SET id = 1 WHERE id = 99"),
        query("BEGIN TRANSACTION; DELETE FROM partitioned.versioned WHERE TRUE; ROLLBACK TRANSACTION"),
        query("INSERT INTO partitioned.beside (id) SELECT id FROM partitioned.versioned"),
    ):
        nothing()
    assert client.get_table("partitioned.versioned").modified == last


def test_a_table_as_it_was_is_read_while_it_is_so_and_refused_afterwards(client: bigquery.Client) -> None:
    client.query("CREATE TABLE partitioned.earlier AS SELECT 1 AS id").result()
    [(now,)] = client.query("SELECT CURRENT_TIMESTAMP()").result()
    as_it_was = f"SELECT id FROM partitioned.earlier FOR SYSTEM_TIME AS OF TIMESTAMP '{now.isoformat(' ')}'"
    assert [tuple(row) for row in client.query(as_it_was).result()] == [(1,)]
    client.query("INSERT INTO partitioned.earlier VALUES (2)").result()
    with pytest.raises(BadRequest, match=r"partitions:partitioned\.earlier has changed since"):
        client.query(as_it_was).result()
    with pytest.raises(BadRequest, match="takes a constant timestamp"):
        client.query("SELECT id FROM partitioned.earlier FOR SYSTEM_TIME AS OF nothing").result()
