"""The bare script: BigQuery's own clients, a session, batches into a Parquet file, a load job. Prints what it measured, as JSON.

With `"overlap": true` it writes a batch in a thread while it reads the next: what somebody would do who needs it faster. With
`"publish": true` it goes on with checks and a publish, see `bulk_same_work`.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from benchmarks.bulk_same_work import check_and_publish, make_table
from benchmarks.runs.processes import cpu_seconds


def main() -> None:
    """The command."""
    given = json.loads(sys.argv[1])
    options = {"api_endpoint": given["bigquery_emulator_host"]}
    client = bigquery.Client(given["project"], AnonymousCredentials(), client_options=options)  # type: ignore[no-untyped-call]
    client.create_dataset(given["dataset"], exists_ok=True)
    make_table(client, given["dataset"])
    began, cpu, emulator = time.monotonic(), time.process_time(), cpu_seconds(given["emulator"])
    project, dataset, table = given["source"].split(".")
    address = urlsplit(given["bigquery_storage_emulator_host"]).netloc or given["bigquery_storage_emulator_host"]
    channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
    reader = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]
    session = reader.create_read_session(
        parent=f"projects/{project}",
        read_session=types.ReadSession(
            table=f"projects/{project}/datasets/{dataset}/tables/{table}",
            data_format=types.DataFormat.ARROW,
            read_options=types.ReadSession.TableReadOptions(row_restriction=f"DATE(usage_start_time) = '{given['day']}'"),
        ),
    )
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    with tempfile.TemporaryFile() as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer, ThreadPoolExecutor(1) as pool:
            writing = pool.submit(lambda: None)
            for batch in _batches(reader, session, schema):
                writing.result()
                writing = pool.submit(writer.write_batch, batch)
                if not given.get("overlap"):
                    writing.result()
            writing.result()
        size = file.tell()
        nested = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
        nested.enable_list_inference = True
        config = bigquery.LoadJobConfig(source_format="PARQUET", parquet_options=nested, write_disposition="WRITE_TRUNCATE")
        client.load_table_from_file(file, f"{given['dataset']}.loaded", rewind=True, size=size, job_config=config).result()
    if given.get("publish"):
        check_and_publish(client, given["dataset"], given["day"])
    measured = {
        "seconds": time.monotonic() - began,
        "own_cpu": time.process_time() - cpu,
        "emulator_cpu": cpu_seconds(given["emulator"]) - emulator,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(measured))


def _batches(reader: Any, session: types.ReadSession, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for stream in session.streams:
        for answer in reader.read_rows(stream.name):
            yield pa.ipc.read_record_batch(pa.py_buffer(answer.arrow_record_batch.serialized_record_batch), schema)


if __name__ == "__main__":
    main()
