"""Text that may become part of a BigQuery name, or name a location of it. Checked where a request arrives; everything else is passed as a
query parameter.
"""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from services.platform.errors import InvalidArgument

TENANT_ID = re.compile(r"[a-z0-9][a-z0-9_]{2,63}")
"""Also a valid dataset id: letters, digits and underscores, up to 1,024 characters (BigQuery, "Name datasets")."""

_PROJECT = r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
TABLE = re.compile(rf"(?:(?P<project>{_PROJECT})\.)?(?P<dataset>[A-Za-z0-9_]{{1,1024}})\.(?P<table>[A-Za-z0-9_-]{{1,1024}})")
"""`dataset.table` or `project.dataset.table` (BigQuery, "Name tables"; ASCII only). It, EXPORT and EMAIL also stand in JSON Schemas, so
they need no flag of Python's.
"""
_SEGMENT = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9!_.*'()+=@:, -]{1,200}"
_BUCKET = r"s3://[a-z0-9](?:[a-z0-9]|[.-](?![.-])){1,61}[a-z0-9]"
_CONTAINER = r"[a-z0-9]{3,24}/(?:\$root|[a-z0-9](?:[a-z0-9]|-(?![-/])){2,62})"
EXPORT = re.compile(rf"{_BUCKET}(?://?{_SEGMENT}){{1,16}}|{_CONTAINER}(?:/{_SEGMENT}){{1,16}}")
"""`s3://bucket/prefix/name` (Amazon S3, "Bucket naming rules"), or `account/container/directory/name` (Azure, "Naming and referencing
containers, blobs, and metadata"): where an export lies. No segment is `.` or `..`. None is empty in Azure; AWS takes a prefix
that begins with a slash, and keeps it.
"""
EMAIL = re.compile(
    r"(?=[^@]{1,64}@.{3,189}\Z)[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]+(?:\.[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
)
"""An e-mail address in common form (RFC 5321, ASCII, unquoted): it cannot end a header or add a second address."""

ALWAYS_RESERVED = frozenset({"information_schema", "tenants"})


def check_tenant_id(tenant_id: str, reserved: Iterable[str]) -> None:
    """Raises InvalidArgument unless `tenant_id` is a valid, unreserved tenant id; it also names the tenant's dataset."""
    if not TENANT_ID.fullmatch(tenant_id):
        raise InvalidArgument(
            "tenant_id", "use 3 to 64 characters: lower-case letters, digits and underscores, not starting with an underscore."
        )
    if tenant_id in ALWAYS_RESERVED or tenant_id in reserved:
        raise InvalidArgument("tenant_id", "this name is reserved; choose another one.")


_MULTI_REGIONS = frozenset({"US", "EU"})
_LOCATION = re.compile(r"us|eu|[a-z]+(-[a-z]+)+[0-9]{1,2}", re.ASCII)


def location_name(text: str) -> str:
    """A location as BigQuery writes it ("BigQuery locations"): multi-regions in capitals, regions in lower case; it takes both. Raises
    ValueError for a text that is no location's name.
    """
    name = text.lower()
    if not _LOCATION.fullmatch(name):
        raise ValueError("must be a BigQuery location, e.g. EU, US or europe-west1")
    return name.upper() if name.upper() in _MULTI_REGIONS else name


type LocationName = Annotated[str, AfterValidator(location_name)]
"""A setting."""


def key_fits(key: str, location: str) -> bool:
    """True if a KMS key (full name) is in the location, as KMS writes it ("Cloud KMS locations"): europe for EU, us for US, or a region or
    multi-region within it.
    """
    there = key.split("/")[3]
    if location in _MULTI_REGIONS:
        return there.startswith("us" if location == "US" else "eur")
    return there == location
