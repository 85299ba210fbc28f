"""The bare script: an S3 client, each file into a temporary one, batches into Parquet, a load job. Prints what it measured, as JSON."""

import json
import os
import sys
import tempfile
import time
from typing import Any

import pyarrow.parquet as pq
from botocore.config import Config
from botocore.session import Session
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from benchmarks.memory import peak_memory

BATCH = 20_000


def main() -> None:
    """The command."""
    given = json.loads(sys.argv[1])
    with peak_memory(os.getpid()) as peak:
        took = move(given)
    print(json.dumps({"seconds": took, "peak_mb": peak.own, "peak_with_children_mb": peak.with_children}))


def move(given: dict[str, str]) -> float:
    """Moves the rows; how long it took."""
    bucket, _, path = given["export"].removeprefix("s3://").partition("/")
    s3: Any = Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=given["aws_emulator_host"],
        aws_access_key_id=given["access_key_id"],
        aws_secret_access_key=given["secret_access_key"],
        config=Config(s3={"addressing_style": "path"}),
    )
    began = time.monotonic()
    key = f"{path}/metadata/BILLING_PERIOD={given['month']}/{path.rpartition('/')[2]}-Manifest.json"
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    writer = None
    with tempfile.TemporaryFile() as out:
        for uri in manifest["dataFiles"]:
            with tempfile.TemporaryFile() as raw:
                for chunk in s3.get_object(Bucket=bucket, Key=uri.removeprefix(f"s3://{bucket}/"))["Body"].iter_chunks(2**20):
                    raw.write(chunk)
                raw.seek(0)
                file = pq.ParquetFile(raw)
                writer = writer or pq.ParquetWriter(out, file.schema_arrow, compression="zstd")
                for batch in file.iter_batches(BATCH):
                    writer.write_batch(batch)
        if writer is None:
            raise RuntimeError("the manifest lists no file")
        writer.close()
        size = out.tell()
        options = {"api_endpoint": given["bigquery_emulator_host"]}
        client = bigquery.Client(given["project"], AnonymousCredentials(), client_options=options)  # type: ignore[no-untyped-call]
        client.create_dataset("bulk_bare", exists_ok=True)
        config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
        client.load_table_from_file(out, "bulk_bare.loaded", rewind=True, size=size, job_config=config).result()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
