"""What a tenant has stored for AWS: a user's key, with or without a role to assume with it, or only a role that trusts our issuer. Pure."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from services.clouds.access import AccessRefused

HOME_REGIONS: Final = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""By partition: the region that is asked unless the tenant names one."""
UNUSABLE: Final = "The stored AWS credentials cannot be read. Set them again."
_REGION = re.compile(r"[a-z]{2,3}(?:-[a-z]+){1,3}-[0-9]{1,2}")
_ROLE = re.compile(r"arn:(?P<partition>aws(?:-[a-z]+){0,3}):iam::(?P<account>[0-9]{12}):role/[A-Za-z0-9_+=,.@/-]{1,576}")


@dataclass(frozen=True, kw_only=True, slots=True)
class AwsCredentials:
    """A tenant's credentials for AWS. Kept for one run or check only."""

    access_key_id: str | None
    """None: access is federated, and no key is stored."""
    secret_access_key: str | None = field(repr=False)
    role_arn: str | None
    external_id: str | None = field(repr=False)
    region: str
    """Where STS and S3 are asked."""
    partition: str
    """aws, aws-cn or aws-us-gov."""

    @property
    def is_federated(self) -> bool:
        """True if a token of ours lets us in."""
        return self.access_key_id is None

    @property
    def account_id(self) -> str | None:
        """The role's account; None without a role."""
        return self.role_arn.split(":")[4] if self.role_arn else None


def read_aws(plaintext: bytes) -> AwsCredentials:
    """Parses what credentials has encrypted for AWS: a JSON object of texts, either `access_key_id, secret_access_key, role_arn?,
    external_id?, region?` or `role_arn, region?`. Raises AccessRefused for anything else, without quoting it.
    """
    try:
        payload: Any = json.loads(plaintext)
        values = {str(name): value for name, value in payload.items() if value is not None}
    except (ValueError, AttributeError):
        raise AccessRefused(UNUSABLE) from None
    role, region = values.get("role_arn"), values.get("region")
    has_key = "access_key_id" in values
    if not all(isinstance(value, str) for value in values.values()) or has_key is not ("secret_access_key" in values):
        raise AccessRefused(UNUSABLE)
    if (not has_key and role is None) or (role and not _ROLE.fullmatch(role)) or (region and not _REGION.fullmatch(region)):
        raise AccessRefused(UNUSABLE)
    partition = _partition(role, region)
    return AwsCredentials(
        access_key_id=values.get("access_key_id"),
        secret_access_key=values.get("secret_access_key"),
        role_arn=role,
        external_id=values.get("external_id"),
        region=region or HOME_REGIONS[partition],
        partition=partition,
    )


def partition_of(region: str) -> str:
    """The part of AWS that a region belongs to, which has accounts and addresses of its own."""
    return next((partition for partition, start in (("aws-cn", "cn-"), ("aws-us-gov", "us-gov-")) if region.startswith(start)), "aws")


def _partition(role: str | None, region: str | None) -> str:
    partition = role.split(":")[1] if role else partition_of(region or "")
    if partition not in HOME_REGIONS:
        raise AccessRefused(
            f"The role is in the partition {partition} of AWS, which cannot be reached. Use one of {', '.join(HOME_REGIONS)}."
        )
    if region and partition_of(region) != partition:
        raise AccessRefused(
            f"The region {region} does not belong to the partition {partition} of the role. Leave the region out of the AWS credentials, "
            "or name one of that partition."
        )
    return partition
