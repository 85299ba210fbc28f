"""Writes FOCUS 1.2 exports of any size, as AWS Data Exports and Azure Cost Management write them: `python -m benchmarks.focus_files aws
FOLDER --rows 1000000 --files 4`.

AWS: 57 columns of FOCUS and 4 of its own, costs FLOAT64, three maps. Azure: 57 and 59 of its own, costs DECIMAL(38, 18), tags JSON text,
and empty texts where nothing is known. The same arguments give the same rows.
"""

import argparse
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.executor.sources.exported_months import end_of

ROW_GROUP = 65_536
TIMES = pa.timestamp("ms")
SERVICES = [
    ("Amazon Elastic Compute Cloud", "Compute", "Virtual Machines"),
    ("Amazon Simple Storage Service", "Storage", "Object Storage"),
    ("Amazon Relational Database Service", "Databases", "Relational Databases"),
    ("AWS Lambda", "Compute", "Serverless Compute"),
    ("AWS Data Transfer", "Networking", "Network Connectivity"),
]
TEXTS: Mapping[str, list[str | None]] = {
    "AvailabilityZone": ["us-east-1a", "us-east-1b", None],
    "BillingAccountName": ["Example Corp"],
    "ChargeDescription": [f"$0.0{price} per unit of usage {price}" for price in range(100)],
    "CommitmentDiscountCategory": [None],
    "CommitmentDiscountId": [None],
    "CommitmentDiscountName": [None],
    "CommitmentDiscountStatus": [None],
    "CommitmentDiscountType": [None],
    "CommitmentDiscountUnit": [None],
    "CapacityReservationId": [None],
    "CapacityReservationStatus": [None],
    "ChargeClass": [None],
    "ConsumedUnit": ["Hours", "GB", "Requests"],
    "InvoiceId": [None, "EUINGB26-1"],
    "PricingCategory": ["Standard"],
    "PricingUnit": ["Hours", "GB", "Requests"],
    "RegionId": ["us-east-1", "eu-central-1"],
    "RegionName": ["US East (N. Virginia)", "Europe (Frankfurt)"],
    "ResourceType": ["instance", "bucket", None],
    "SkuId": [f"SKU{number:06}" for number in range(500)],
    "SkuMeter": [f"BoxUsage:m5.{number}" for number in range(50)],
    "SkuPriceId": [f"SKU{number:06}.JRTCKXETXF.6YS6EN2CT7" for number in range(500)],
    "SubAccountId": [f"1111222233{number:02}" for number in range(40)],
    "SubAccountName": [f"team-{number}" for number in range(40)],
}


class Columns:
    """Makes columns of `rows` values each; every call draws anew, but the same way each time."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rows = rows
        self._seed = seed * 1_000

    def places(self, count: int) -> pa.Array:
        """Whole numbers below `count`."""
        self._seed += 1
        return pc.floor(pc.multiply(pc.random(self.rows, initializer=self._seed), float(count))).cast(pa.int32())

    def of(self, values: list[Any], kind: pa.DataType | None = None) -> pa.Array:
        """Some of these."""
        return pa.array(values, kind or pa.string()).take(self.places(len(values)))

    def only(self, value: object, kind: pa.DataType | None = None) -> pa.Array:
        """The same in every row."""
        return pa.repeat(pa.scalar(value, kind or pa.string()), self.rows)

    def numbers(self, most: float) -> pa.Array:
        """From 0 to `most`."""
        self._seed += 1
        return pc.multiply(pc.random(self.rows, initializer=self._seed), most)

    def ids(self, prefix: str, count: int) -> pa.Array:
        """Names of up to `count` things."""
        return pc.binary_join_element_wise(prefix, self.places(count).cast(pa.string()), "")


def focus_columns(make: Columns, month: datetime) -> dict[str, pa.Array]:
    """The columns that both clouds have alike."""
    hours = (end_of(month.date()).day) * 24
    begin = pc.add(
        pa.scalar(month.replace(tzinfo=None), TIMES), pc.multiply(make.places(hours).cast(pa.int64()), 3_600_000).cast(pa.duration("ms"))
    )
    billed, service = make.numbers(3.0), make.places(len(SERVICES))
    quantity = make.numbers(100.0)
    texts = {name: make.of(values) for name, values in TEXTS.items()}
    days = end_of(month.date()) + timedelta(days=1)
    return texts | {
        "BilledCost": billed,
        "BillingAccountId": make.only("111122223333"),
        "BillingAccountType": make.only("Payer Account"),
        "BillingCurrency": make.only("USD"),
        "BillingPeriodEnd": make.only(datetime(days.year, days.month, 1), TIMES),  # noqa: DTZ001 - as exports have it
        "BillingPeriodStart": make.only(month.replace(tzinfo=None), TIMES),
        "ChargeCategory": make.of(["Usage", "Usage", "Usage", "Tax"]),
        "ChargeFrequency": make.only("Usage-Based"),
        "ChargePeriodEnd": pc.add(begin, pa.scalar(timedelta(hours=1), pa.duration("ms"))),
        "ChargePeriodStart": begin,
        "CommitmentDiscountQuantity": make.only(None, pa.float64()),
        "ConsumedQuantity": quantity,
        "ContractedCost": billed,
        "ContractedUnitPrice": pc.divide(billed, pc.add(quantity, 1.0)),
        "EffectiveCost": billed,
        "InvoiceIssuerName": make.of(["Amazon Web Services, Inc.", None]),
        "ListCost": pc.multiply(billed, 1.1),
        "ListUnitPrice": pc.divide(billed, pc.add(quantity, 1.0)),
        "PricingCurrency": make.only("USD"),
        "PricingCurrencyContractedUnitPrice": make.only(None, pa.float64()),
        "PricingCurrencyEffectiveCost": billed,
        "PricingCurrencyListUnitPrice": make.only(None, pa.float64()),
        "PricingQuantity": quantity,
        "ProviderName": make.only("AWS"),
        "PublisherName": make.of(["Amazon Web Services", None]),
        "ResourceId": make.ids("arn:aws:ec2:us-east-1:111122223333:instance/i-", 20_000),
        "ResourceName": make.only(None),
        "ServiceCategory": pa.array([one[1] for one in SERVICES]).take(service),
        "ServiceName": pa.array([one[0] for one in SERVICES]).take(service),
        "ServiceSubcategory": pa.array([one[2] for one in SERVICES]).take(service),
        "SubAccountType": make.only("Member Account"),
    }


MAP = pa.map_(pa.string(), pa.string())


def aws_table(rows: int, seed: int, month: datetime) -> pa.Table:
    """Rows as AWS Data Exports has them: 61 columns."""
    make = Columns(rows, seed)
    tags = [[("user:team", f"team-{number}"), ("user:env", "prod"), ("aws:createdBy", f'Root "{number}"')] for number in range(300)]
    return pa.table(
        focus_columns(make, month)
        | {
            "SkuPriceDetails": make.of([[("instanceType", f"m5.{number}"), ("vcpu", str(number))] for number in range(200)], MAP),
            "Tags": make.of([*tags, []], MAP),
            "x_Discounts": make.of([[], [("edp", "0.1")]], pa.map_(pa.string(), pa.string())),
            "x_Operation": make.of(["RunInstances", "GetObject", "PutObject"]),
            "x_ServiceCode": make.of(["AmazonEC2", "AmazonS3"]),
            "x_UsageType": make.of([f"BoxUsage:m5.{number}" for number in range(50)]),
        }
    )


AZURE_TEXTS = 45
AZURE_AMOUNTS = 14


def azure_table(rows: int, seed: int, month: datetime) -> pa.Table:
    """Rows as Cost Management has them: 116 columns, amounts in DECIMAL(38, 18)."""
    make = Columns(rows, seed)
    columns = focus_columns(make, month) | {
        "BillingAccountType": make.only("Billing Account"),
        "InvoiceIssuerName": make.only("Microsoft"),
        "ProviderName": make.only("Microsoft"),
        "PublisherName": make.of(["Microsoft", ""]),
        "SkuPriceDetails": make.only(None),
        "SubAccountType": make.only("Subscription"),
        "Tags": make.of(["", *(f'{{"team":"team-{number}","env":"prod"}}' for number in range(300))]),
    }
    amounts = {name: values.cast(pa.decimal128(38, 18)) for name, values in columns.items() if pa.types.is_floating(values.type)}
    # 59 columns of its own: names are Microsoft's where they matter to a reader, else numbered.
    own = {f"x_Text{number:02}": make.of(["", f"value {number}", f"other {number}"]) for number in range(AZURE_TEXTS - 3)} | {
        "x_SkuDetails": make.of(["", *(f'{{"VMName":"vm-{number}","VCPUs":{number}}}' for number in range(200))]),
        "x_ResourceGroupName": make.ids("group-", 500),
        "x_BillingProfileId": make.only("ABCD-EFGH-IJK-LMN"),
    }
    numbers = {f"x_Amount{number:02}": make.numbers(5.0).cast(pa.decimal128(38, 18)) for number in range(AZURE_AMOUNTS)}
    return pa.table(columns | amounts | own | numbers)


TABLES: Mapping[str, Callable[[int, int, datetime], pa.Table]] = {"aws": aws_table, "azure": azure_table}


def write(cloud: str, folder: Path, *, rows: int, files: int = 4, month: datetime = datetime(2026, 10, 1, tzinfo=UTC)) -> list[Path]:
    """Writes `rows` rows into `files` Snappy Parquet files in `folder`; their paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(files):
        count = rows // files + (number < rows % files)
        path = folder / f"{cloud}-{number:05}.snappy.parquet"
        pq.write_table(TABLES[cloud](count, number + 1, month), path, compression="snappy", row_group_size=ROW_GROUP)
        paths.append(path)
    return paths


def main() -> None:
    """Writes the files that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cloud", choices=sorted(TABLES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=4)
    options = parser.parse_args()
    for path in write(options.cloud, options.folder, rows=options.rows, files=options.files):
        print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
