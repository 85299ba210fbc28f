"""The streams of a read session hold each row once, however the table came to have its rows, and can be read again from any row."""

from collections.abc import Iterator

import grpc
import pyarrow as pa
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from localcloud.bigquery.storage import BATCH_ROWS
from localcloud.stack import Stack

PROJECT, DATASET = "streams", "read"
ROWS = 250_000
NUMBERS = f"SELECT i AS id, MOD(i, 10) AS digit, [CAST(i AS STRING)] AS texts FROM UNNEST(GENERATE_ARRAY(1, {ROWS})) AS i"
MADE = {
    "plain": [f"CREATE TABLE plain AS {NUMBERS}"],
    "changed": [
        f"CREATE TABLE changed AS {NUMBERS}",
        "DELETE FROM changed WHERE digit = 3",
        "UPDATE changed SET digit = 4 WHERE digit = 5",
    ],
    "ingested": [
        "CREATE TABLE ingested (id INT64, digit INT64, texts ARRAY<STRING>) PARTITION BY _PARTITIONDATE",
        f"INSERT INTO ingested (id, digit, texts) {NUMBERS}",
    ],
    # It has the name of DuckDB's own numbers of rows.
    "named": [f"CREATE TABLE named AS SELECT digit AS rowid, * FROM ({NUMBERS})"],
    "secured": [
        f"CREATE TABLE secured AS {NUMBERS}",
        "CREATE ROW ACCESS POLICY p ON secured GRANT TO ('allUsers') FILTER USING (digit != 7)",
    ],
}
LEFT_OUT = {"changed": 3, "secured": 7}


@pytest.fixture(scope="module")
def reader(own_emulators: Stack) -> Iterator[BigQueryReadClient]:
    host = own_emulators.env["BIGQUERY_EMULATOR_HOST"]
    with bigquery.Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": host}) as client:  # type: ignore[no-untyped-call]
        client.create_dataset(DATASET, exists_ok=True)
        config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{DATASET}")
        for text in (text for texts in MADE.values() for text in texts):
            client.query_and_wait(text, job_config=config)
        address = own_emulators.env["BIGQUERY_STORAGE_EMULATOR_HOST"].removeprefix("http://")
        with grpc.insecure_channel(address) as channel:
            yield BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]
        client.delete_dataset(DATASET, delete_contents=True)


@pytest.mark.parametrize("table", MADE)
def test_each_row_is_in_one_stream(reader: BigQueryReadClient, table: str) -> None:
    options = types.ReadSession.TableReadOptions(row_restriction="digit != 0", selected_fields=["id", "texts"])
    path = f"projects/{PROJECT}/datasets/{DATASET}/tables/{table}"
    wanted = types.ReadSession(table=path, data_format=types.DataFormat.ARROW, read_options=options)
    session = reader.create_read_session(parent=f"projects/{PROJECT}", read_session=wanted)
    expected = [i for i in range(1, ROWS + 1) if i % 10 not in (0, LEFT_OUT.get(table))]
    assert session.estimated_row_count == len(expected)

    streams = [_rows(reader, session, stream.name) for stream in session.streams]

    assert len(streams) > 1
    assert sorted(number for batches in streams for batch in batches for number in batch) == expected
    assert all(len(batch) <= BATCH_ROWS for batches in streams for batch in batches)
    # A client whose call was cut asks for the rest.
    last = [number for batch in streams[-1] for number in batch]
    assert [number for batch in _rows(reader, session, session.streams[-1].name, offset=1001) for number in batch] == last[1001:]


def _rows(reader: BigQueryReadClient, session: types.ReadSession, stream: str, offset: int = 0) -> list[list[int]]:
    """The ids of each message."""
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    found = list[list[int]]()
    for answer in reader.read_rows(stream, offset=offset):  # type: ignore[no-untyped-call]
        batch = pa.ipc.read_record_batch(pa.py_buffer(answer.arrow_record_batch.serialized_record_batch), schema)
        assert batch["texts"].to_pylist() == [[str(number)] for number in batch["id"].to_pylist()]
        found.append(batch["id"].to_pylist())
    return found
