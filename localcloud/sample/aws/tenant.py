"""The sample tenant's AWS account: its export, and a user and a role that may read it."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from localcloud.aws.account import ACCOUNT, READER, admin_client, trust_of_issuer
from localcloud.files import write_private
from localcloud.sample.aws.export import AWS_EXPORT, BUCKET, PATH, deliver

ROLE: Final = "convergence-billing-reader"
AUDIENCE: Final = "sts.amazonaws.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class AwsSample:
    """What was delivered."""

    export: str
    months: tuple[date, ...]
    """First days; the last one is the current month."""
    rows: int
    """Of all months."""


def load_aws(endpoint: str, *, today: date, issuer: str, tenant_id: str) -> AwsSample:
    """Fills the account at the emulator `endpoint`: last month, and this one to yesterday; a policy for the reader's key; a role that
    trusts `issuer`'s tokens about the tenant. Repeating the call gives the same.
    """
    s3, iam = admin_client("s3", endpoint), admin_client("iam", endpoint)
    s3.create_bucket(Bucket=BUCKET)
    policy = json.dumps(reading_policy())
    iam.put_user_policy(UserName=READER.name, PolicyName="reads-the-export", PolicyDocument=policy)
    trust = json.dumps(trust_of_issuer(issuer, AUDIENCE, tenant_id))
    _once(iam, lambda: iam.create_open_id_connect_provider(Url=issuer, ClientIDList=[AUDIENCE], ThumbprintList=["0" * 40]))
    _once(iam, lambda: iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust))
    iam.put_role_policy(RoleName=ROLE, PolicyName="reads-the-export", PolicyDocument=policy)
    yesterday, this = today - timedelta(days=1), today.replace(day=1)
    months = [(this - timedelta(days=1)).replace(day=1), *([this] if yesterday >= this else [])]
    rows = sum(deliver(s3, month, yesterday) for month in months)
    for client in (s3, iam):
        client.close()
    return AwsSample(export=AWS_EXPORT, months=tuple(months), rows=rows)


def reading_policy() -> dict[str, Any]:
    """What the tenant allows its reader: its export, and nothing else."""
    bucket = f"arn:aws:s3:::{BUCKET}"
    listing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket, "Condition": {"StringLike": {"s3:prefix": f"{PATH}/*"}}}
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{bucket}/{PATH}/*"}, listing],
    }


def key_credentials() -> dict[str, Any]:
    """The body of `POST .../credentials` with the reader's key, which opens nothing but this machine's emulator."""
    key = {"access_key_id": READER.access_key_id, "secret_access_key": READER.secret_access_key}
    return {"provider": "AWS", "credentials": key}


def federated_credentials() -> dict[str, Any]:
    """The same without a key: the role trusts this installation's tokens about the tenant."""
    return {"provider": "AWS", "credentials": {"role_arn": f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"}}


def write_aws_credentials(path: Path) -> None:
    """Writes `key_credentials`, mode 0600."""
    write_private(path, json.dumps(key_credentials(), indent=1))


def _once(iam: Any, make: Callable[[], object]) -> None:
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        make()
