"""Checks of stored credentials: which are due, and what was found. The executor makes them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

MAX_CHECKS: Final = 40
"""Maximum number in one result, 64 KiB each at most: it stays below gRPC's 4 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PassedCheck:
    """What is stored with credentials that were tried before."""

    status: str
    """Always WORKS: others are not stored."""
    export: str | None
    """The export that was named, and can be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DueCheck:
    """Credentials that are due."""

    credential_id: str
    tenant_id: str
    provider: str
    encrypted_credentials: bytes = field(repr=False)
    kms_key_version: str | None
    set_at: datetime
    access_status: str | None
    access_export: str | None
    """The export that could be read when a check last named one."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row; it has one column a field."""
        return cls(**row)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """The result of one check. Its fields are columns."""

    tenant_id: str
    provider: str
    set_at: datetime
    """When the credentials that were checked had been set."""
    checked_at: datetime
    access_status: str
    """Or UNKNOWN: the cloud did not answer."""
    access_problem: str
    """Empty: none."""
    access_export: str
    """The export that was named and could be read; empty: what is stored about an export stays."""


def latest(results: Iterable[CheckResult]) -> list[CheckResult]:
    """The last result for each credentials. Pure: an UPDATE must find at most one for a row."""
    by_time = sorted(results, key=lambda result: result.checked_at)
    return list({(result.tenant_id, result.provider, result.set_at): result for result in by_time}.values())
