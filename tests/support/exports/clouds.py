"""A tenant's AWS and Azure in emulators, behind gates: what lies in them, and what the executor's sources read of it, without BigQuery."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.clouds.access import CloudEndpoints, TenantAccess, TokenOf
from services.executor.errors import StepError
from services.executor.ledger.exports import KnownExport
from services.executor.metering.meter import StepMeter
from services.executor.settings import ExecutorSettings
from services.executor.sources.aws.source import CUR, FOCUS
from services.executor.sources.azure.source import FOCUS as AZURE_FOCUS
from services.executor.sources.exported_months import ExportsRequest
from services.executor.sources.source import ReadRequest, Source, SourceType, Unchanged
from services.executor.staging.shape import StagingShape
from services.platform.bigquery.ddl import load_tables
from services.platform.settings import REPOSITORY
from tests.support.aws import AwsAccount
from tests.support.azure import DIRECTORY, READER, SECRET, AzureServer, put, writing
from tests.support.exports.gate import ObjectGate
from tests.support.exports.objects import Delivered, Placed

AWS, AZURE = "aws", "azure"
TYPES = {AWS: FOCUS, AZURE: AZURE_FOCUS, "cur": CUR}
_STAGING = load_tables(REPOSITORY / "configs" / "bigquery" / "staging")


def no_token(_: str) -> str:
    raise AssertionError("keys are stored, no token is needed")


@dataclass(frozen=True, kw_only=True)
class ReadMonth:
    """What a source has read."""

    rows: Sequence[Mapping[str, Any]]
    """As they are staged."""
    outputs: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Clouds:
    """The tenant's account in each, and its access."""

    tenant_id: str
    account: AwsAccount
    azure: AzureServer
    gates: Mapping[str, ObjectGate]
    """By cloud: aws, azure."""
    settings: ExecutorSettings
    stored: Mapping[str, bytes]
    """The plaintext credentials by provider."""

    def place(self, cloud: str, objects: Iterable[Placed] | Delivered) -> None:
        """Writes objects, in their order."""
        found = objects.objects if isinstance(objects, Delivered) else list(objects)
        if cloud == AWS:
            for one in found:
                self.account.put(one.key, one.body)
        else:
            with writing(self.azure) as client:
                for one in found:
                    put(client, one.key, one.body)

    def remove(self, cloud: str, keys: Sequence[str]) -> None:
        """Deletes objects."""
        if cloud == AWS:
            for key in keys:
                self.account.s3.delete_object(Bucket=self.account.bucket, Key=key)
        else:
            with writing(self.azure) as client:
                for key in keys:
                    client.delete_blob(key)

    def open(self, source_type: SourceType, meter: StepMeter, *, session: str, token_of: TokenOf = no_token) -> Source:
        """As `TenantSources.open`."""
        access = TenantAccess(
            tenant_id=self.tenant_id,
            provider=source_type.provider,
            plaintext=self.stored[source_type.provider],
            session=session,
            endpoints=CloudEndpoints(aws=self.gates[AWS].url, azure=self.gates[AZURE].url, ca=self.gates[AZURE].ca),
            token_of=token_of,
        )
        return source_type.open(access, self.settings, meter)

    def read(self, kind: str, location: str, month: date, *, known: KnownExport | None = None) -> ReadMonth | Unchanged:
        """One month of an export; `kind`: aws or azure for FOCUS, cur. Raises StepError."""
        staged = StagingShape.of(_STAGING["x_staging_aws_cur" if kind == "cur" else "x_staging_focus_export"]).arrow
        published = {(known.source_id, known.month): known} if known else {}
        exports = ExportsRequest(month=month, known=published, now=datetime.now(UTC), history_months=3)
        source = self.open(TYPES[kind], StepMeter(), session="run-1")
        try:
            export = source.find(ReadRequest(parameters={"export": location}, period=None, exports=exports), _go_on)
            if isinstance(export, Unchanged):
                return export
            rows = [row for table in export.read(staged, _go_on) for row in table.to_pylist()]
            return ReadMonth(rows=rows, outputs=export.outputs())
        finally:
            source.close()

    def rows(self, kind: str, location: str, month: date) -> Sequence[Mapping[str, Any]]:
        """The rows of a month that is read."""
        found = self.read(kind, location, month)
        assert isinstance(found, ReadMonth)
        return found.rows

    def refused(self, kind: str, location: str, month: date) -> StepError:
        """Why a month is not read."""
        with pytest.raises(StepError) as refused:
            self.read(kind, location, month)
        return refused.value


def stored_credentials(account: AwsAccount) -> dict[str, bytes]:
    """A user that may read the bucket, and an application that may read the account."""
    statements = [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{account.bucket}/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{account.bucket}"},
    ]
    return {
        "AWS": json.dumps(account.user({"Version": "2012-10-17", "Statement": statements})).encode(),
        "AZURE": json.dumps({"directory_id": DIRECTORY, "client_id": READER, "client_secret": SECRET}).encode(),
    }


def _go_on() -> None:
    """It is not cancelled."""
