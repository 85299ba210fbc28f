"""The sample tenant's AWS export: that the executor reads it whole, with a key or a token, before and after a restatement."""

import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from localcloud.aws.account import admin_client
from localcloud.sample.aws.export import AWS_EXPORT, BUCKET
from localcloud.sample.aws.rows import CREDIT, month_of_rows
from localcloud.sample.aws.tenant import federated_credentials, key_credentials, load_aws, write_aws_credentials
from localcloud.sample.restate import restate_month
from services.clouds.access import TokenOf
from services.executor.errors import StepError
from services.executor.metering.meter import StepMeter
from services.executor.sources.aws.source import FOCUS
from services.executor.sources.exported_months import ExportsRequest
from services.executor.sources.source import Export, ReadRequest, Source, Unchanged
from tests.support.aws import AwsAccount, no_token
from tests.support.executor.focus_export_rows import read, settings
from tests.support.oidc_issuer import LocalIssuer, local_issuer

TODAY = date(2026, 11, 26)
LAST, THIS = date(2026, 10, 1), date(2026, 11, 1)


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def account(aws_emulator: str, issuer: LocalIssuer) -> AwsAccount:
    for _ in range(2):  # `make up` does it each time
        sample = load_aws(aws_emulator, today=TODAY, issuer=issuer.url, tenant_id="acme_corp")
    assert (sample.export, sample.months) == (AWS_EXPORT, (LAST, THIS))
    assert sample.rows == sum(len(month_of_rows(month, date(2026, 11, 25))) for month in (LAST, THIS))
    return AwsAccount(url=aws_emulator, bucket=BUCKET)


@contextmanager
def opened(account: AwsAccount, body: Mapping[str, Any], folder: Path, token_of: TokenOf = no_token) -> Iterator[Source]:
    (folder / "spool").mkdir(exist_ok=True)
    source = FOCUS.open(account.access(body["credentials"], token_of), settings(folder), StepMeter())
    try:
        yield source
    finally:
        source.close()


def found(source: Source, month: date | None = None) -> Export:
    exports = ExportsRequest(month=month, known={}, now=datetime(2026, 11, 26, 12, tzinfo=UTC), history_months=2)
    export = source.find(ReadRequest(parameters={"export": AWS_EXPORT}, period=None, exports=exports), lambda: None)
    assert not isinstance(export, Unchanged)
    return export


def billed(rows: list[dict[str, Any]], month: date) -> tuple[int, Decimal]:
    of_month = [row["BilledCost"] for row in rows if row["x_BillingPeriod"] == month]
    return len(of_month), sum(of_month, Decimal())


def test_both_months_are_read_to_the_last_row_with_a_key(account: AwsAccount, tmp_path: Path) -> None:
    with opened(account, key_credentials(), tmp_path) as source:
        export = found(source)
        rows = read(export)
    for month in (LAST, THIS):
        made = month_of_rows(month, date(2026, 11, 25))
        assert billed(rows, month) == (len(made), sum((row["BilledCost"] for row in made), Decimal()))
    assert {row["x_FocusVersion"] for row in rows} == {"1.2"}
    assert {(row["x_Provider"], row["x_SourceId"]) for row in rows} == {("AWS", f"AWS/{BUCKET}/finops/focus-1-2")}
    assert {row["ChargeCategory"] for row in rows} == {"Usage", "Purchase", "Tax"}
    assert max(row["x_UsageDate"] for row in rows) == date(2026, 11, 25)
    plan = sum((row["EffectiveCost"] for row in rows if row["CommitmentDiscountId"]), Decimal())
    bought = sum((row["BilledCost"] for row in rows if row["ChargeCategory"] == "Purchase"), Decimal())
    assert plan == bought, "usage and what is left unused take all of the savings plan"


def test_last_month_restated_is_read_with_a_token_and_no_key(account: AwsAccount, issuer: LocalIssuer, tmp_path: Path) -> None:
    def token_of(audience: str) -> str:
        return issuer.token(subject="acme_corp", audience=audience, now=datetime.now(UTC))

    before = month_of_rows(LAST, date(2026, 10, 31))
    restate_month("aws", LAST, {"AWS_EMULATOR_HOST": account.url})
    with opened(account, federated_credentials(), tmp_path, token_of) as source:
        rows = read(found(source, LAST))
    s3 = admin_client("s3", account.url)
    assert len(s3.list_objects_v2(Bucket=BUCKET, Prefix="finops/focus-1-2/data/billing_period=2026-10/")["Contents"]) == 2
    s3.close()

    count, total = billed(rows, LAST)
    changed = [row for row in month_of_rows(LAST, date(2026, 10, 31), is_restated=True) if row not in before]
    assert [row["ChargeCategory"] for row in changed] == ["Usage", "Credit"]
    assert count == len(before) + 1
    assert total == sum((row["BilledCost"] for row in before), Decimal()) + CREDIT + changed[0]["BilledCost"] / 2


def test_the_key_and_the_role_read_the_export_alone(account: AwsAccount, issuer: LocalIssuer, tmp_path: Path) -> None:
    asked = ExportsRequest(month=LAST, known={}, now=datetime(2026, 11, 26, 12, tzinfo=UTC), history_months=2)
    elsewhere = ReadRequest(parameters={"export": f"s3://{BUCKET}/finops/other"}, period=None, exports=asked)
    with opened(account, key_credentials(), tmp_path) as source, pytest.raises(StepError, match="s3:ListBucket"):
        source.find(elsewhere, lambda: None)
    with opened(account, key_credentials(), tmp_path) as source, pytest.raises(StepError, match="is not the location of an AWS export"):
        source.find(replace(elsewhere, parameters={"export": "account/container/focus"}), lambda: None)

    def of_another(audience: str) -> str:
        return issuer.token(subject="other_corp", audience=audience, now=datetime.now(UTC))

    with opened(account, federated_credentials(), tmp_path, of_another) as source, pytest.raises(StepError, match="does not let this"):
        found(source, LAST)


def test_credentials_that_cannot_be_used_are_refused_before_anything_is_asked(account: AwsAccount, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="Set them again"):
        FOCUS.open(account.access({"access_key_id": "AKIA"}), settings(tmp_path), StepMeter())


def test_the_credentials_are_written_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "sample" / "aws_credentials.json"
    write_aws_credentials(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
