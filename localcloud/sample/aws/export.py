"""The sample tenant's export in S3, as AWS Data Exports delivers it: overwritten at each refresh, two Parquet files, the manifest last."""

import io
import json
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from localcloud.aws.account import ACCOUNT, admin_client
from localcloud.sample.aws.rows import DOUBLES, MAPS, TIMES, AwsRow, end_of_month, month_of_rows

BUCKET: Final = "acme-billing-exports"
PATH: Final = "finops/focus-1-2"
NAME: Final = "focus-1-2"
AWS_EXPORT: Final = f"s3://{BUCKET}/{PATH}"
"""The parameter `export` of the pipeline aws/cost/focus."""
CHUNKS: Final = 2


def deliver(s3: Any, month: date, through: date, *, is_restated: bool = False) -> int:
    """One refresh of one month; its number of rows. `through`: the last day that has charges."""
    rows = month_of_rows(month, through, is_restated=is_restated)
    partition = f"billing_period={month:%Y-%m}"  # in lower case, as AWS has it for FOCUS
    keys = [f"{PATH}/data/{partition}/{NAME}-{number:05}.snappy.parquet" for number in range(1, CHUNKS + 1)]
    for index, key in enumerate(keys):
        s3.put_object(Bucket=BUCKET, Key=key, Body=parquet_of(rows[index::CHUNKS]))
    manifest = {
        "exportArn": f"arn:aws:bcm-data-exports:us-east-1:{ACCOUNT}:export/{NAME}-5c0b7f9e",
        "executionId": f"{through.isoformat()}-{'restated' if is_restated else 'refresh'}",
        "query": f"SELECT {', '.join(rows[0])} FROM FOCUS_1_2_AWS",  # noqa: S608 - it is never run
        "columns": [{"name": name, "type": _type(name)[1]} for name in rows[0]],
        "dataFiles": [f"s3://{BUCKET}/{key}" for key in keys],
        "additionalOutputFiles": [],
    }
    key = f"{PATH}/metadata/{partition}/{NAME}-Manifest.json"
    s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(manifest, indent=1).encode())
    return len(rows)


def restate(endpoint: str, month: date) -> int:
    """AWS corrects a month that has ended: one credit more, one charge doubled. Its number of rows."""
    s3 = admin_client("s3", endpoint)
    rows = deliver(s3, month, end_of_month(month), is_restated=True)
    s3.close()
    return rows


def parquet_of(rows: Sequence[AwsRow]) -> bytes:
    """A file with the types that AWS gives the columns."""
    arrays = {name: pa.array([_value(name, row[name]) for row in rows], _type(name)[0]) for name in rows[0]}
    out = io.BytesIO()
    pq.write_table(pa.table(arrays), out, compression="snappy")
    return out.getvalue()


def _type(name: str) -> tuple[pa.DataType, str]:
    if name in DOUBLES:
        return pa.float64(), "double"
    if name in TIMES:
        return pa.timestamp("ms", "UTC"), "timestamp_milliseconds"
    return (pa.map_(pa.string(), pa.string()), "map") if name in MAPS else (pa.string(), "string")


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in DOUBLES:
        return float(value)
    return list(value.items()) if name in MAPS else value
