"""AWS for tests: buckets, users and roles of their own in the emulator, exports in them, and tenants' access to them."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, cached_property
from typing import Any

from localcloud.aws.account import ACCOUNT, admin_client
from services.clouds.access import AccessRefused, CloudEndpoints, TenantAccess, TokenOf
from services.clouds.aws.location import S3Location, reader_policy
from services.executor.sources.exported_months import months_before

AUDIENCE = "sts.amazonaws.com"
COLUMNS = ["BilledCost", "BillingPeriodStart", "InvoiceId"]


def no_token(_: str) -> str:
    raise AccessRefused("This installation issues no identity tokens. Store a key instead.")


@cache
def _client(service: str, url: str) -> Any:
    """One for all tests of a worker: making one takes longer than most of what it is asked."""
    return admin_client(service, url)


@dataclass(frozen=True, kw_only=True)
class AwsAccount:
    """One test's corner of the account: a bucket, and names that are its own."""

    url: str
    bucket: str = field(default_factory=lambda: f"bills-{uuid.uuid4().hex[:12]}")

    @cached_property
    def s3(self) -> Any:
        client = _client("s3", self.url)
        client.create_bucket(Bucket=self.bucket)
        return client

    @cached_property
    def iam(self) -> Any:
        return _client("iam", self.url)

    def location(self, path: str = "billing/focus") -> S3Location:
        return S3Location(bucket=self.bucket, path=path)

    def user(self, policy: str | Mapping[str, Any] | None = None) -> dict[str, str]:
        """A new user's stored credentials. `policy`: what it may do, by default read `location()`."""
        name = f"reader-{uuid.uuid4().hex[:8]}"
        self.iam.create_user(UserName=name)
        self.iam.put_user_policy(UserName=name, PolicyName="reads", PolicyDocument=_text(policy or reader_policy(self.location(), "aws")))
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}

    def role(self, trust: Mapping[str, Any], policy: str | Mapping[str, Any] | None = None) -> str:
        """A new role's ARN."""
        name = f"reads-{uuid.uuid4().hex[:8]}"
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
        self.iam.put_role_policy(RoleName=name, PolicyName="reads", PolicyDocument=_text(policy or reader_policy(self.location(), "aws")))
        return str(role["Arn"])

    def provider(self, issuer: str, audience: str = AUDIENCE) -> None:
        """Registers an OIDC provider."""
        self.iam.create_open_id_connect_provider(Url=issuer, ClientIDList=[audience], ThumbprintList=["0" * 40])

    def access(self, credentials: Mapping[str, str], token_of: TokenOf = no_token, session: str = "run-1") -> TenantAccess:
        """A tenant's access with these stored credentials."""
        return TenantAccess(
            tenant_id="acme_corp",
            provider="AWS",
            plaintext=json.dumps(credentials).encode(),
            session=session,
            endpoints=CloudEndpoints(aws=self.url),
            token_of=token_of,
        )

    def put(self, key: str, body: bytes | str) -> str:
        """Writes an object; its ETag."""
        return str(self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["ETag"])

    def put_export(
        self, month: date, files: Mapping[str, bytes], *, execution: str = "exec-1", folder: str = "", path: str = "billing/focus"
    ) -> str:
        """A refresh of a Data Export, as AWS delivers it: first the data, then the manifest, whose key is returned. `folder`: a further one
        of this refresh, for exports that create new files.
        """
        name, partition = path.rsplit("/", 1)[-1], f"BILLING_PERIOD={month:%Y-%m}{f'/{folder}' if folder else ''}"
        for file, body in files.items():
            self.put(f"{path}/data/{partition}/{file}", body)
        manifest = {
            "executionId": execution,
            "columns": [{"name": column, "type": "string"} for column in COLUMNS],
            "dataFiles": [f"s3://{self.bucket}/{path}/data/{partition}/{file}" for file in files],
        }
        key = f"{path}/metadata/{partition}/{name}-Manifest.json"
        self.put(key, json.dumps(manifest))
        return key

    def put_report(self, month: date, files: Mapping[str, bytes], *, assembly: str = "asm-1", path: str = "billing/report") -> str:
        """A delivery of a legacy Cost and Usage Report; its manifest's key."""
        folder = f"{path}/{month:%Y%m%d}-{months_before(month, -1):%Y%m%d}"
        for file, body in files.items():
            self.put(f"{folder}/{assembly}/{file}", body)
        manifest = {
            "assemblyId": assembly,
            "billingPeriod": {"start": f"{month:%Y%m%d}T000000.000Z", "end": f"{months_before(month, -1):%Y%m%d}T000000.000Z"},
            "columns": [{"category": "lineItem", "name": "UnblendedCost", "type": "BigDecimal"}],
            "reportKeys": [f"{folder}/{assembly}/{file}" for file in files],
            "compression": "GZIP",
            "contentType": "text/csv",
            "bucket": self.bucket,
        }
        key = f"{folder}/{path.rsplit('/', 1)[-1]}-Manifest.json"
        self.put(key, json.dumps(manifest))
        return key


def trust_of_user(access_key_id: str, account: AwsAccount, external_id: str | None = None) -> dict[str, Any]:
    """A trust policy that lets in the user of a key, who has to give the external id."""
    user = account.iam.get_access_key_last_used(AccessKeyId=access_key_id)["UserName"]
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{user}"},
        "Action": "sts:AssumeRole",
    }
    if external_id:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _text(policy: str | Mapping[str, Any]) -> str:
    return policy if isinstance(policy, str) else json.dumps(policy)
