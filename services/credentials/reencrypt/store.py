"""The ciphertexts in `tenant_cloud_credentials` and the versions that encrypted them: one method a statement."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.result import QueryResult
from services.platform.bigquery.sql import load_blocks

MAX_PAGE: Final = 40
"""Credentials of one page, each old and new ciphertext 64 KiB at most: it stays below BigQuery's 10 MB a request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutdatedCredential:
    """A row that another version than a primary one encrypted."""

    credential_id: str
    tenant_id: str
    provider: str
    encrypted_credentials: bytes = field(repr=False)
    kms_key_version: str | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row; it has one column a field."""
        return cls(**row)


@dataclass(frozen=True, kw_only=True, slots=True)
class CiphertextMove:
    """A row's new ciphertext, which replaces the old one and no other. Its fields are those of the parameter."""

    credential_id: str
    tenant_id: str
    provider: str
    old_ciphertext: bytes = field(repr=False)
    new_ciphertext: bytes = field(repr=False)
    kms_key_version: str
    moved_at: datetime


class KeyVersionStore:
    """All methods raise Unavailable if BigQuery does not answer in time."""

    def __init__(self, bq: BigQuery) -> None:
        self._bq = bq
        self._blocks = load_blocks(Path(__file__).with_name("queries.sql"))

    async def count(self) -> dict[str | None, int]:
        """How many credentials each version encrypted, by its full name."""
        found = await self._control("count_key_versions", {})
        return {row["kms_key_version"]: row["credentials"] for row in found.rows}

    async def list_outdated(self, *, primaries: Sequence[str], after: tuple[str, str], limit: int) -> list[OutdatedCredential]:
        """Rows that none of `primaries` encrypted, of the first `limit` credentials after a tenant and provider."""
        params: dict[str, object] = {"primaries": primaries, "page_size": limit}
        params |= {"after_tenant_id": after[0], "after_provider": after[1]}
        return [OutdatedCredential.from_row(row) for row in (await self._control("list_outdated_credentials", params)).rows]

    async def replace(self, moves: Sequence[CiphertextMove]) -> int:
        """Writes new ciphertexts where the old ones still stand. Returns how many rows it changed."""
        return (await self._control("replace_ciphertexts", {"moves": [asdict(move) for move in moves]})).affected

    async def _control(self, block: str, params: dict[str, object]) -> QueryResult:
        return await self._bq.query(self._blocks[block], params, dataset=self._bq.control())
