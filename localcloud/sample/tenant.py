"""`python -m localcloud.sample`: the sample tenant's billing exports, in the tenant's own project, and the credentials for them."""

import argparse
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from localcloud.files import write_private
from localcloud.sample import beside
from localcloud.sample.aws.tenant import load_aws, write_aws_credentials
from localcloud.sample.azure.tenant import load_azure, write_azure_credentials
from localcloud.sample.day import rows_of_day
from localcloud.sample.google_trust import trust_issuer
from localcloud.sample.rows import Row, late_usage_of_day
from localcloud.sample.schema import DETAILED, STANDARD, bigquery_schema
from localcloud.settings import SAMPLE_TENANT, LocalSettings
from services.platform.environment.reading import read

PROJECT = "acme-sample-project"
DATASET = "billing_export"
TABLE = f"gcp_billing_export_resource_v1_{beside.ACCOUNT}"
STANDARD_TABLE = f"gcp_billing_export_v1_{beside.ACCOUNT}"
DAYS = 7
BEFORE = 3
"""Days that only the standard export has: the detailed one was turned on later."""
EMPTY_DAY = 3  # of the seven, counted from the first: a day on which the tenant used nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The loaded exports."""

    table: str
    """The detailed one, `project.dataset.table`."""
    standard: str
    """The standard export, which has BEFORE days more."""
    days: tuple[date, ...]
    """The UTC days that the detailed one covers, the last one yesterday."""
    empty_day: date
    """The one of them without a row."""
    rows: int
    """All rows of the detailed one."""


def load(bigquery_host: str, *, rows_per_day: int, last_day: date | None = None) -> Sample:
    """Creates the exports' datasets and (re)places their tables, one load job each; repeating the call gives the same rows. Those that
    would arrive later today have arrived now.

    `bigquery_host` is the emulator's URL; `last_day` is by default yesterday (UTC), whose late rows have not arrived yet.
    """
    last_day = last_day or datetime.now(UTC).date() - timedelta(days=1)
    days = tuple(last_day - timedelta(days=DAYS - 1 - index) for index in range(DAYS))
    earlier = [days[0] - timedelta(days=back) for back in range(BEFORE, 0, -1)]
    arrived = datetime.combine(last_day + timedelta(days=2), time(), UTC)
    rows = list(_rows((day for day in days if day != days[EMPTY_DAY]), rows_per_day, arrived))
    detailed = pa.Table.from_pylist(rows, schema=DETAILED)
    before = pa.Table.from_pylist(list(_rows(earlier, rows_per_day, arrived)), schema=STANDARD)
    dataset, focus = f"{PROJECT}.{DATASET}", f"{PROJECT}.{beside.FOCUS_DATASET}"
    with bigquery.Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": bigquery_host}) as client:  # type: ignore[no-untyped-call]
        for parent in (dataset, focus):
            client.create_dataset(parent, exists_ok=True)
        tables = [
            (f"{dataset}.{TABLE}", detailed),
            (f"{dataset}.{STANDARD_TABLE}", pa.concat_tables([before, detailed.select(STANDARD.names)])),
            (f"{dataset}.{beside.PRICING_TABLE}", beside.prices(last_day)),
            (f"{focus}.{beside.FOCUS_TABLE}", beside.focus_rows(rows)),
        ]
        for name, table in tables:
            _replace(client, name, table)
        client.query_and_wait(beside.view(f"{dataset}.{beside.VIEW}", f"{dataset}.{TABLE}"))
    return Sample(
        table=f"{dataset}.{TABLE}", standard=f"{dataset}.{STANDARD_TABLE}", days=days, empty_day=days[EMPTY_DAY], rows=detailed.num_rows
    )


def _rows(days: Iterable[date], rows_per_day: int, arrived: datetime) -> Iterable[Row]:
    now = datetime.now(UTC)
    for day in days:
        late = (row for row in late_usage_of_day(day, rows_per_day) if row["export_time"] < arrived)
        for row in (*rows_of_day(day, rows_per_day), *late):
            yield row | {"export_time": min(row["export_time"], now)}


def _replace(client: bigquery.Client, name: str, rows: pa.Table) -> None:
    """Usage is partitioned by the day on which rows arrived, as Google's exports are."""
    is_usage = set(STANDARD.names) <= set(rows.schema.names)
    file = io.BytesIO()
    pq.write_table(rows, file, compression="zstd")
    nested = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
    nested.enable_list_inference = True
    config = bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=bigquery_schema(rows.schema),
        parquet_options=nested,
        time_partitioning=bigquery.TimePartitioning() if is_usage else None,
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
    )
    client.load_table_from_file(file, name, rewind=True, job_config=config).result()
    if is_usage:
        # One load is one day's arrival; these rows came day by day.
        client.query_and_wait(f"UPDATE `{name}` SET _PARTITIONTIME = TIMESTAMP_TRUNC(export_time, DAY) WHERE TRUE")  # noqa: S608


def write_credentials(path: Path) -> None:
    """Writes the body of `POST /api/v1/tenants/acme_corp/credentials`, mode 0600, unless the file is there: a service account of the
    sample tenant with a key of its own, which opens nothing but this machine's emulator.
    """
    if path.exists():
        return
    credentials = {"project_id": PROJECT, "service_account_json": json.dumps(_service_account())}
    write_private(path, json.dumps({"provider": "GCP", "credentials": credentials}, indent=1))


def _service_account() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    email = f"convergence-reader@{PROJECT}.iam.gserviceaccount.com"
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": f"{key.public_key().public_numbers().n % 2**160:040x}",
        "private_key": pem.decode(),
        "client_email": email,
        "client_id": "104815162342000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{email.replace('@', '%40')}",
        "universe_domain": "googleapis.com",
    }


def main() -> None:
    """Loads the exports into the emulators and writes the credentials files."""
    settings = read(LocalSettings)
    parser = argparse.ArgumentParser(prog="python -m localcloud.sample", description="The sample tenant's billing exports.")
    parser.add_argument("--bigquery-host", default=f"http://{settings.address('bigquery')}", help="the emulator (%(default)s)")
    parser.add_argument("--rows", type=int, default=settings.sample_rows, help="rows a day (%(default)s)")
    parser.add_argument("--credentials", type=Path, default=settings.sample_credentials, help="where they are written (%(default)s)")
    parser.add_argument("--aws-host", default=f"http://{settings.address('aws')}", help="the emulator of AWS (%(default)s)")
    parser.add_argument("--aws-credentials", type=Path, default=settings.sample_aws_credentials, help="the same (%(default)s)")
    parser.add_argument("--azure-host", default=f"https://{settings.address('azure')}", help="the emulator of Azure (%(default)s)")
    parser.add_argument("--azure-ca", type=Path, default=settings.certs_dir / "ca.pem", help="its authority (%(default)s)")
    parser.add_argument("--azure-credentials", type=Path, default=settings.sample_azure_credentials, help="the same (%(default)s)")
    parser.add_argument("--google-sts", default=f"http://{settings.address('google_sts')}", help="the same of Google's (%(default)s)")
    parser.add_argument("--issuer", default=f"http://{settings.address('gateway')}", help="whose tokens are trusted (%(default)s)")
    options = parser.parse_args()
    sample = load(options.bigquery_host, rows_per_day=options.rows)
    write_credentials(options.credentials)
    trust_issuer(options.google_sts, issuer=options.issuer, tenant_id=SAMPLE_TENANT)
    aws = load_aws(options.aws_host, today=datetime.now(UTC).date(), issuer=options.issuer, tenant_id=SAMPLE_TENANT)
    write_aws_credentials(options.aws_credentials)
    today = datetime.now(UTC).date()
    azure = load_azure(options.azure_host, options.azure_ca, today=today, issuer=options.issuer, tenant_id=SAMPLE_TENANT)
    write_azure_credentials(options.azure_credentials)
    print(f"{sample.table}: {sample.rows} rows from {sample.days[0]} to {sample.days[-1]}, none on {sample.empty_day}")
    print(f"{azure.export}: {azure.rows} rows from {azure.months[0]:%Y-%m} to {azure.months[-1]:%Y-%m}")
    print(f"{aws.export}: {aws.rows} rows from {aws.months[0]:%Y-%m} to {aws.months[-1]:%Y-%m}")
