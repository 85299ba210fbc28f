"""AWS: an OIDC provider for our issuer, and a role that tokens about this tenant alone may assume (IAM, "Creating a role for OpenID Connect
federation").
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from services.clouds.access import AccessRefused
from services.clouds.audiences import AWS
from services.clouds.aws.location import S3Location, reader_policy
from services.credentials.trust.guide import GuideField, Trusted, TrustGuide, checked, command, json_file
from services.platform.errors import InvalidArgument

FIELDS: Final = {
    "role_arn": GuideField(
        pattern=re.compile(r"arn:aws(?:-[a-z]+){0,3}:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,576}"),
        takes="a role's ARN, arn:aws:iam::<12 digits>:role/<name>",
    ),
    "export": GuideField(pattern=re.compile(r"s3://.+"), takes="s3://bucket/prefix/name"),
}
PLACEHOLDERS: Final = {"ACCOUNT_ID": "role_arn", "BUCKET": "export", "PREFIX/NAME": "export"}
"""And the field that says them."""
ROLE: Final = "convergence-cost-reader"


def aws_guide(trusted: Trusted, values: Mapping[str, str]) -> TrustGuide:
    """Raises InvalidArgument."""
    given = checked(values, FIELDS, "AWS")
    role_arn = given.get("role_arn", f"arn:aws:iam::ACCOUNT_ID:role/{ROLE}")
    location = _location(given.get("export"))
    _, partition, _, _, account, resource = role_arn.split(":", 5)
    path, _, name = resource.removeprefix("role").rpartition("/")
    provider = f"arn:{partition}:iam::{account}:oidc-provider/{trusted.issuer_path}"
    create = ["aws", "iam", "create-role", "--role-name", name, "--assume-role-policy-document", "file://trust-policy.json"]
    return TrustGuide(
        audience=AWS,
        files=(
            json_file("trust-policy.json", trust_policy(trusted, provider)),
            json_file("read-policy.json", json.loads(reader_policy(location, partition))),
        ),
        commands=(
            command(
                "Makes the account trust this installation as an identity provider. Once an account.",
                *("aws", "iam", "create-open-id-connect-provider", "--url", trusted.issuer, "--client-id-list", AWS),
            ),
            command(
                "Creates the role, which tokens about this tenant alone may assume.",
                *create,
                *(["--path", f"{path}/"] if path else []),
            ),
            command(
                "Lets the role read the export and nothing else.",
                *("aws", "iam", "put-role-policy", "--role-name", name, "--policy-name", "read-export"),
                *("--policy-document", "file://read-policy.json"),
            ),
        ),
        credentials={"role_arn": role_arn},
        placeholders=tuple(word for word, field in PLACEHOLDERS.items() if field not in given),
    )


def trust_policy(trusted: Trusted, provider: str) -> dict[str, Any]:
    """StringEquals, never StringLike: with a wildcard in the subject, other tenants could name the role as theirs."""
    key = trusted.issuer_path
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": provider},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {f"{key}:sub": trusted.subject, f"{key}:aud": AWS}},
            }
        ],
    }


def _location(export: str | None) -> S3Location:
    if export is None:
        return S3Location(bucket="BUCKET", path="PREFIX/NAME")
    try:
        return S3Location.parse(export)
    except AccessRefused as refused:
        raise InvalidArgument("export", refused.message) from None
