"""The audit log's tables: one typed method a statement. The SQL, with the reasons why each block is safe to replay, is in `queries.sql`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from services.auth.audit.chain import Head
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import load_blocks
from services.platform.bigquery.unbilled.small_tables import SmallTables

BLOCKS = load_blocks(Path(__file__).with_name("queries.sql"))
CLOCKS_DIFFER = timedelta(days=1)
"""An entry is appended after it was recorded, by a process whose clock differs by less than this."""
HEADS = {"audit_heads": ("chain", "seq", "entry_hash", "appended_at")}
END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An entry, as the order of pages has it. The default is before all entries."""

    appended_at: datetime = END_OF_TIME
    chain: str = ""
    seq: int = 0


class AuditStore:
    """Every method raises Unavailable when BigQuery does not answer."""

    def __init__(self, bq: BigQuery) -> None:
        self._bq = bq
        self._listed = SmallTables(bq, bq.control(), HEADS, spares="read_heads")

    async def heads(
        self, chains: Collection[str], ids: Sequence[str] = (), *, since: datetime = END_OF_TIME
    ) -> tuple[dict[str, Head], set[str]]:
        """Two results. The ends of these chains; chains without entries are missing. And those of `ids`, recorded since `since`, that the
        chains already have. The second is of the same moment as the first or later: so while the heads are unchanged, it is complete.
        """
        params = {"chains": sorted(chains), "ids": ids, "since": since - CLOCKS_DIFFER}
        if (listed := await self._listed.rows()) is not None:
            rows = [row for row in listed[0] if row["chain"] in chains]
            known = {row["entry_id"] for row in await self._rows("known_entries", params)} if ids else set()
        else:
            rows = await self._rows("read_heads", params)
            known = {one for row in rows for one in row.pop("known") or ()}
        return {row["chain"]: Head(hash=row.pop("entry_hash"), **row) for row in rows}, known

    async def append(self, moves: Sequence[tuple[Head, Head]], chained: Sequence[Mapping[str, Any]]) -> bool:
        """Appends entries, and moves each head from the first to the second of its pair. False: a head has changed since it was read, and
        this call appended nothing. An earlier try of the same call may have appended them.
        """
        params = {
            "heads": [
                {
                    "chain": now.chain,
                    "seen_seq": seen.seq,
                    "seen_hash": seen.hash,
                    "seq": now.seq,
                    "entry_hash": now.hash,
                    "appended_at": now.appended_at,
                }
                for seen, now in moves
            ],
            "entries": [{**entry, "entry_hash": entry["hash"]} for entry in chained],
        }
        row = (await self._bq.query(BLOCKS["append_entries"], params, dataset=self._bq.control())).only_row
        return bool(row["is_appended"])

    async def delete_before(self, first_day: date) -> int:
        """Deletes what was appended before that UTC day. Returns the number of deleted entries."""
        block, params = BLOCKS["delete_old_entries"], {"first_day": first_day}
        return (await self._bq.query(block, params, dataset=self._bq.control())).affected

    async def list_entries(
        self, chain: str, action: str, *, start: datetime, end: datetime, after: Place, limit: int
    ) -> list[dict[str, Any]]:
        """At most `limit` entries after a place, newest first. `chain` empty: of all; `action` empty: all. `end` is not included."""
        params = {
            "chain": chain,
            "action": action,
            "start_time": start,
            "end_time": end,
            "since": start - CLOCKS_DIFFER,
            "after_at": after.appended_at,
            "after_chain": after.chain,
            "after_seq": after.seq,
            "row_limit": limit,
        }
        return [{"hash": row.pop("entry_hash"), **row} for row in await self._rows("list_entries", params)]

    async def _rows(self, block: str, params: Mapping[str, object]) -> list[dict[str, Any]]:
        return (await self._bq.query(BLOCKS[block], params, dataset=self._bq.control())).rows
