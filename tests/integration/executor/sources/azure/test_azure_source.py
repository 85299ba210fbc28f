"""A tenant's Azure as a source of runs: the sample tenant's exports, from its credentials to rows of the staging table."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from localcloud.sample.azure.rows import REFUND, azure_month
from localcloud.sample.azure.tenant import AZURE_CSV_EXPORT, AZURE_EXPORT, load_azure, secret_credentials
from localcloud.sample.restate import restate_month
from services.clouds.access import CloudEndpoints, TenantAccess, no_token
from services.executor.errors import StepError
from services.executor.ledger.exports import KnownExport
from services.executor.metering.meter import StepMeter
from services.executor.settings import ExecutorSettings
from services.executor.sources.azure.source import COST, FOCUS
from services.executor.sources.exported_months import ExportsRequest
from services.executor.sources.source import Export, ReadRequest, Source, SourceType, Unchanged
from tests.support.azure import ACCOUNT, CONTAINER, ISSUER, TENANT, AzureServer, manifest_json, put, writing
from tests.support.executor.focus_export_rows import staging

TODAY, OCTOBER, NOVEMBER = date(2026, 11, 26), date(2026, 10, 1), date(2026, 11, 1)
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
CENT = Decimal("0.01")
SECRET = json.dumps(secret_credentials()["credentials"]).encode()


@pytest.fixture(scope="module", autouse=True)
def loaded(azure: AzureServer) -> None:
    sample = load_azure(azure.url, azure.ca, today=TODAY, issuer=ISSUER, tenant_id=TENANT)
    assert sample.months == (OCTOBER, NOVEMBER)


type Find = Callable[[ReadRequest], Export | Unchanged]


@pytest.fixture
def find(azure: AzureServer, tmp_path: Path) -> Iterator[Find]:
    """What a run finds; each opens a source of its own."""
    with ExitStack() as stack:

        def found(request: ReadRequest) -> Export | Unchanged:
            return stack.enter_context(closing(opened(azure, tmp_path, FOCUS))).find(request, lambda: None)

        yield found


def opened(azure: AzureServer, folder: Path, type_: SourceType, plaintext: bytes = SECRET) -> Source:
    access = TenantAccess(
        tenant_id=TENANT,
        provider="AZURE",
        plaintext=plaintext,
        session="run-1",
        endpoints=CloudEndpoints(azure=azure.url, ca=azure.ca),
        token_of=no_token,
    )
    return type_.open(access, ExecutorSettings(spool_dir=folder / "spool"), StepMeter())


def asked(*known: KnownExport, month: date | None = None, **parameters: str) -> ReadRequest:
    exports = ExportsRequest(month=month, known={(one.source_id, one.month): one for one in known}, now=NOW, history_months=2)
    return ReadRequest(parameters={"export": AZURE_EXPORT, **parameters}, period=None, exports=exports)


def read(find: Find, request: ReadRequest) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    export = find(request)
    assert not isinstance(export, Unchanged)
    rows = [row for table in export.read(staging("x_staging_focus_export"), lambda: None) for row in table.to_pylist()]
    return rows, export.outputs()


def by_service(rows: list[dict[str, Any]]) -> dict[tuple[str, str], Decimal]:
    sums = defaultdict[tuple[str, str], Decimal](Decimal)
    for row in rows:
        for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
            sums[row["ServiceName"] or "", name] += row[name]
    return {key: total.quantize(CENT) for key, total in sums.items()}


def test_every_charge_is_read_to_the_cent(find: Find) -> None:
    """From two Parquet files a month, with Azure's own columns kept."""
    rows, outputs = read(find, asked())
    expected = [*azure_month(OCTOBER, date(2026, 10, 31)), *azure_month(NOVEMBER, date(2026, 11, 25))]

    assert len(rows) == outputs["source_rows"] == len(expected)
    assert by_service(rows) == by_service([{"ServiceName": None, **row, **named(row)} for row in expected])
    assert [one["billing_period"] for one in outputs["exports"]] == [OCTOBER, NOVEMBER]
    assert {row["x_FocusVersion"] for row in rows} == {"1.2-preview"}
    purchase = next(row for row in rows if row["ChargeCategory"] == "Purchase")
    assert (purchase["ServiceName"], purchase["PublisherName"]) == ("Unspecified", "Microsoft")
    assert "PublisherName" in purchase["x_SourceChanges"]
    usage = next(row for row in rows if row["CommitmentDiscountStatus"] == "Used")
    assert json.loads(usage["x_ProviderColumns"])["x_SkuTerm"] == 12


def named(row: Mapping[str, Any]) -> dict[str, str]:
    """What is written where Azure names no service."""
    return {} if row.get("ServiceName") else {"ServiceName": "Unspecified"}


def test_csv_has_the_same_charges(find: Find) -> None:
    parquet, _ = read(find, asked(month=OCTOBER))
    rows, _ = read(find, asked(month=OCTOBER, export=AZURE_CSV_EXPORT))

    own = {"x_SourceId", "x_ManifestId", "x_ProviderColumns"}
    assert sorted(as_text(row, own) for row in rows) == sorted(as_text(row, own) for row in parquet)


def as_text(row: Mapping[str, Any], without: set[str]) -> str:
    """Without the last digits of doubles, of which a decimal's are others than a text's."""
    shown = {name: f"{value:.12g}" if isinstance(value, float) else value for name, value in row.items() if name not in without}
    return json.dumps(shown, default=str)


def test_a_restated_month_is_read_again_and_it_alone(azure: AzureServer, find: Find) -> None:
    before, outputs = read(find, asked())
    known = [published(one) for one in outputs["exports"]]
    assert find(asked(*known)) == Unchanged(as_of=max(one.exported_at for one in known))

    restate_month("azure", OCTOBER, {"AZURE_EMULATOR_HOST": azure.url, "CLOUD_EMULATOR_CA": str(azure.ca)})
    after, changed = read(find, asked(*known))

    assert [one["billing_period"] for one in changed["exports"]] == [OCTOBER]
    total = sum(row["BilledCost"] for row in after)
    doubled = sum(row["BilledCost"] for row in before if is_corrected(row))
    assert doubled > 0
    assert total.quantize(CENT) == (sum(row["BilledCost"] for row in before if is_october(row)) + doubled + REFUND).quantize(CENT)


def is_october(row: Mapping[str, Any]) -> bool:
    return bool(row["x_BillingPeriod"] == OCTOBER)


def is_corrected(row: Mapping[str, Any]) -> bool:
    is_bandwidth: bool = row["ServiceName"] == "Bandwidth"
    return is_bandwidth and row["x_UsageDate"] == date(2026, 10, 4) and row["SubAccountName"] == "acme-prod"


def published(one: Mapping[str, Any]) -> KnownExport:
    names = ("source_id", "manifest_key", "manifest_etag", "manifest_id", "exported_at", "row_count")
    return KnownExport(month=one["billing_period"], version=1, days=(one["billing_period"],), **{name: one[name] for name in names})


def test_a_location_that_is_none_is_named(find: Find) -> None:
    with pytest.raises(StepError, match="Write it as account/container/directory/name"):
        find(asked(export="https://acmebilling.blob.core.windows.net/exports"))


def test_an_export_of_focus_is_no_actual_cost(azure: AzureServer, tmp_path: Path) -> None:
    with closing(opened(azure, tmp_path, COST)) as source, pytest.raises(StepError, match="run azure/cost/focus"):
        source.find(asked(), lambda: None)


def test_actual_and_amortized_cost_are_read_as_one(azure: AzureServer, tmp_path: Path) -> None:
    """Two exports in one run, with one sign-in; the rows say which they are of."""
    header = "BillingCurrency,CostInBillingCurrency,Date,ChargeType,MeterCategory"
    with writing(azure) as container:
        for name, type_, cost in (("actual", "ActualCost", "1.25"), ("amortized", "AmortizedCost", "0.75")):
            folder = f"finops/{name}/20261001-20261031/1"
            content = f"{header}\r\nUSD,{cost},10/05/2026,Usage,Storage\r\n".encode()
            put(container, f"{folder}/part0.csv", content)
            times = {"startDate": "2026-10-01", "endDate": "2026-10-31", "submittedTime": "2026-11-01T05:00:00Z"}
            blobs = [{"blobName": f"{folder}/part0.csv", "byteCount": len(content)}]
            manifest = manifest_json(blobs, type=type_, fileFormat="Csv", dataRowCount=1, **times)
            put(container, f"{folder}/manifest.json", json.dumps(manifest).encode())
    place, requests, plaintext = f"{ACCOUNT}/{CONTAINER}/finops", azure.azure.requests, azure.access().plaintext
    requests.clear()
    with closing(opened(azure, tmp_path, COST, plaintext)) as source:
        export = source.find(asked(month=OCTOBER, export=f"{place}/actual", amortized_export=f"{place}/amortized"), lambda: None)
        assert not isinstance(export, Unchanged)
        rows = [row for table in export.read(staging("x_staging_azure_cost"), lambda: None) for row in table.to_pylist()]
        outputs: Mapping[str, Any] = export.outputs()

    costs = {(row["dataset"], row["cost_in_billing_currency"]) for row in rows}
    assert costs == {("ACTUAL", Decimal("1.25")), ("AMORTIZED", Decimal("0.75"))}
    assert {row["source_id"] for row in rows} == {f"AZURE/{place}/actual"}
    assert outputs["exports"][0]["manifest_id"].count(" | ") == 1
    assert len([one for one in requests if "/oauth2/" in one]) == 1


def test_an_amortized_export_that_is_none_is_named(azure: AzureServer, tmp_path: Path) -> None:
    with closing(opened(azure, tmp_path, COST)) as source, pytest.raises(StepError, match="Write it as account"):
        source.find(asked(amortized_export="none"), lambda: None)


def test_credentials_that_cannot_be_read_are_refused_at_once(azure: AzureServer, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="Set them again"):
        opened(azure, tmp_path, FOCUS, b"{}")
