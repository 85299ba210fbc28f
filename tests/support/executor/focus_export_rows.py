"""Rows of small FOCUS exports, and what reading one needs."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from services.executor.ledger.exports import KnownExport
from services.executor.metering.meter import StepMeter
from services.executor.settings import ExecutorSettings
from services.executor.sources.exported_months import ExportsRequest
from services.executor.sources.files.files_source import FilesSource
from services.executor.sources.source import Export, ReadRequest, Unchanged
from services.executor.staging.shape import StagingShape
from services.platform.bigquery.ddl import read_table
from services.platform.settings import REPOSITORY
from tests.support.executor.local_files import LocalFiles

OCTOBER = date(2026, 10, 1)
NOW = datetime(2026, 10, 15, 12, tzinfo=UTC)
MAP = pa.map_(pa.string(), pa.string())
ROW: Mapping[str, Any] = {
    "BilledCost": 1.25,
    "EffectiveCost": 1.0,
    "ListCost": 1.5,
    "ContractedCost": 1.25,
    "BillingAccountId": "111122223333",
    "BillingAccountType": "Payer Account",
    "BillingCurrency": "USD",
    "BillingPeriodStart": datetime(2026, 10, 1, tzinfo=UTC),
    "BillingPeriodEnd": datetime(2026, 11, 1, tzinfo=UTC),
    "ChargeCategory": "Usage",
    "ChargeFrequency": "Usage-Based",
    "ChargePeriodStart": datetime(2026, 10, 3, 23, tzinfo=UTC),
    "ChargePeriodEnd": datetime(2026, 10, 4, tzinfo=UTC),
    "InvoiceIssuerName": "Amazon Web Services, Inc.",
    "PricingCurrency": "USD",
    "PricingCurrencyEffectiveCost": 1.0,
    "ProviderName": "AWS",
    "PublisherName": "Amazon Web Services",
    "ServiceCategory": "Compute",
    "ServiceName": "Amazon Elastic Compute Cloud",
    "ServiceSubcategory": "Virtual Machines",
    "SubAccountId": "111122223333",
    "SubAccountType": "Linked Account",
}
"""A charge with everything that FOCUS demands: nothing is to be filled."""


def staging(name: str) -> pa.Schema:
    """The columns of a staging table."""
    ddl = (REPOSITORY / f"configs/bigquery/staging/{name}.sql").read_text()
    return StagingShape.of(read_table(ddl, name)).arrow


def focus_table(*rows: Mapping[str, Any], without: tuple[str, ...] = (), types: Mapping[str, pa.DataType] | None = None) -> pa.Table:
    """An export with these rows, each ROW with the changes given; one row, if none are given."""
    full = [{**ROW, **row} for row in rows or ({},)]
    names = [name for name in {name: None for row in full for name in row} if name not in without]
    return pa.table({name: pa.array([row.get(name) for row in full], (types or {}).get(name)) for name in names})


def settings(folder: Path, **changed: Any) -> ExecutorSettings:
    """The executor's settings."""
    return ExecutorSettings(spool_dir=folder / "spool", **changed)


def request(*, month: date | None = None, known: tuple[KnownExport, ...] = (), now: datetime = NOW, source_id: str = "") -> ReadRequest:
    """Asks for one month, or for the open ones."""
    exports = ExportsRequest(
        month=month, known={(source_id or "AWS/bucket/prefix/name", one.month): one for one in known}, now=now, history_months=2
    )
    return ReadRequest(parameters={}, period=None, exports=exports)


def source(files: LocalFiles, folder: Path, meter: StepMeter | None = None, *, provider: str = "AWS", **changed: Any) -> FilesSource:
    """The source of a local export."""
    return FilesSource(files, provider, settings(folder, **changed), meter or StepMeter())


def found(source: FilesSource, asked: ReadRequest) -> Export:
    """What the source finds: an export."""
    export = source.find(asked, lambda: None)
    assert not isinstance(export, Unchanged)
    return export


def read(export: Export, name: str = "x_staging_focus_export") -> list[dict[str, Any]]:
    """All rows of an export, as they are staged."""
    return [row for table in export.read(staging(name), lambda: None) for row in table.to_pylist()]
