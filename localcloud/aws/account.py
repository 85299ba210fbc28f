"""The local AWS account: the users that it has from the start, and clients to fill it."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

ACCOUNT: Final = "123456789012"
"""The only account."""
REGION: Final = "us-east-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalUser:
    """An IAM user that exists from the start, with the same key each time: IAM itself chooses keys at random."""

    name: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    policy: str | None = None

    @property
    def arn(self) -> str:
        """The user's name in policies."""
        return f"arn:aws:iam::{ACCOUNT}:user/{self.name}"


ADMIN: Final = LocalUser(
    name="localcloud-admin",
    access_key_id="AKIALOCALCLOUDADMIN0",
    secret_access_key="localcloud/opens/nothing/but/an/emulator",  # noqa: S106 - as it says
    policy=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}),
)
"""Fills the account."""
READER: Final = LocalUser(
    name="convergence-reader",
    access_key_id="AKIALOCALCLOUDREADER",
    secret_access_key="the/sample/tenant/of/an/emulator/0123456",  # noqa: S106
)
"""The sample tenant's user. `localcloud.sample` grants its permissions."""


def admin_client(service: str, endpoint: str) -> Any:
    """A client of `s3`, `iam` or `sts` at the emulator with the admin's key."""
    from botocore.config import Config  # noqa: PLC0415 - the emulator itself needs none
    from botocore.session import Session  # noqa: PLC0415

    return Session().create_client(
        service,
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id=ADMIN.access_key_id,
        aws_secret_access_key=ADMIN.secret_access_key,
        config=Config(s3={"addressing_style": "path"}, proxies={}, ignore_configured_endpoint_urls=True),
    )


def trust_of_issuer(issuer: str, audience: str, subject: str) -> dict[str, Any]:
    """A trust policy for one subject of an OIDC provider of this account."""
    host = issuer.split("://", 1)[-1]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {f"{host}:aud": audience, f"{host}:sub": subject}},
            }
        ],
    }
