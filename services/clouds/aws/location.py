"""Where an AWS export lies in S3, and the policy that lets a reader in there and nowhere else. Pure."""

import json
import re
from dataclasses import dataclass
from typing import Self

from services.clouds.access import AccessRefused

_BUCKET = re.compile(r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*(?:\.\.|-s3alias$|--ol-s3$))[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""Amazon S3, "General purpose bucket naming rules"."""
_PATH = re.compile(r"[A-Za-z0-9!_.'()/+=@:, -]{1,700}", re.ASCII)
"""Amazon S3, "Naming Amazon S3 objects": the safe characters, and some more. Not `*`, which in a policy means any text."""
_ADDRESS = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}")
TAKES = "s3://bucket/prefix/name, as Data Exports shows the bucket, the prefix and the export's name"


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Location:
    """An export's own folder in a bucket."""

    bucket: str
    path: str
    """The prefix, if any, and the export's name, e.g. billing/focus; without slashes at its ends."""

    @classmethod
    def parse(cls, export: str) -> Self:
        """From `s3://bucket/prefix/name`; the prefix may be missing or have several parts. Raises AccessRefused."""
        bucket, slash, path = export.removeprefix("s3://").partition("/")
        path = path.rstrip("/")
        if not export.startswith("s3://") or not slash or not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
            raise AccessRefused(f"`export` is not the location of an AWS export. It must be {TAKES}.")
        if not _BUCKET.fullmatch(bucket) or _ADDRESS.fullmatch(bucket):
            raise AccessRefused(f"`export` names no S3 bucket that can exist. It must be {TAKES}.")
        return cls(bucket=bucket, path=path)

    @property
    def name(self) -> str:
        """The export's name."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        """What all keys of the export begin with."""
        return f"{self.path}/"

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.path}"


def reader_policy(location: S3Location, partition: str) -> str:
    """An IAM policy, JSON, that allows to read the export and nothing else: what a tenant grants its user or role, and what a session is
    narrowed to, at most 2,048 characters. Decryption is allowed through S3 only, for buckets with a KMS key of their own.
    """
    bucket = f"arn:{partition}:s3:::{location.bucket}"
    via = "s3.*.amazonaws.com.cn" if partition == "aws-cn" else "s3.*.amazonaws.com"
    statements = [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{bucket}/{location.folder}*"},
        # Without it S3 answers "forbidden" for a file that is not there yet.
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": bucket,
            "Condition": {"StringLike": {"s3:prefix": f"{location.folder}*"}},
        },
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Condition": {"StringLike": {"kms:ViaService": via}}},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
