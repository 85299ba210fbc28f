"""AWS: a user's long-term access key, and optionally a role to assume with it; or a role alone, which trusts our identity tokens. Formats
as in AWS's IAM and STS API references.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.credentials.payloads.fields import Field, read_fields, refuse_unknown
from services.platform.errors import InvalidArgument

FIELDS = {
    "access_key_id": Field(
        # ASIA... keys are temporary and expire within hours.
        pattern=re.compile(r"AKIA[A-Z0-9]{16}"),
        takes="a long-term access key id, AKIA and 16 capital letters or digits",
    ),
    "secret_access_key": Field(pattern=re.compile(r"[A-Za-z0-9/+=]{40}"), takes="the access key's secret, 40 characters"),
    "role_arn": Field(
        pattern=re.compile(r"arn:aws(?:-[a-z]+){0,3}:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,576}"),
        takes="a role's ARN, arn:aws:iam::<12 digits>:role/<name>",
        optional=True,
    ),
    "external_id": Field(
        pattern=re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}"),
        takes="an external id, 2 to 1224 letters, digits or any of _+=,.@:/-",
        optional=True,
    ),
    "region": Field(pattern=re.compile(r"[a-z]{2,3}(?:-[a-z]+){1,3}-[0-9]{1,2}"), takes="a region, e.g. eu-central-1", optional=True),
}

"""The fields of credentials with a key."""

FEDERATED_FIELDS = {
    "role_arn": replace(FIELDS["role_arn"], optional=False),
    "region": FIELDS["region"],
}
"""The fields of credentials without a key. There is no external id: the caller could choose it, but cannot choose the token's subject."""


def read_aws(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """The fields to encrypt for AWS. Raises InvalidArgument."""
    refuse_unknown(credentials, FIELDS, path="credentials")
    if "role_arn" not in credentials or not credentials.keys().isdisjoint({"access_key_id", "secret_access_key"}):
        return dict(read_fields(credentials, FIELDS, path="credentials"))
    if credentials.get("external_id"):
        raise InvalidArgument(
            "credentials.external_id",
            "is for an access key. Without one, the role must trust our identity tokens about this tenant, which protects it better: "
            "leave external_id out, and set up what GET .../credentials/aws/trust says.",
        )
    return dict(read_fields(credentials, FEDERATED_FIELDS, path="credentials"))
