"""The audit log's chains on the emulator: appended by several processes, sent again, killed in between, deleted after their time."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.auth.audit.appender import AuditAppender
from services.auth.audit.chain import Head
from services.auth.audit.store import END_OF_TIME, AuditStore, Place
from services.auth.audit.verify import Verdict, read_entries, verify
from services.platform.audit.entry import PLATFORM, AuditEntry
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.errors import Unavailable
from services.platform.settings import ServiceSettings
from tests.conftest import MANY
from tests.support.set_clock import SetClock
from tests.support.strict_bigquery import StrictBigQuery, strict_bigquery


def entry(chain: str, **fields: Any) -> AuditEntry:
    usual = {"entry_id": str(uuid.uuid4()), "time": datetime.now(UTC), "action": "RunPipeline", "outcome": "OK", "user_id": "Zoë “7”"}
    return AuditEntry(**{**usual, "chain": chain, **fields})


async def rows_of(bq: BigQuery, *chains: str) -> list[dict[str, Any]]:
    """As BigQuery has them, read without our own code."""
    listed = ", ".join(f"'{chain}'" for chain in chains)
    block = make_block("test", f"SELECT * FROM audit_log WHERE chain IN ({listed}) ORDER BY chain, seq", {})
    return (await bq.query(block, {}, dataset=bq.control())).rows


async def verdicts_of(bq: BigQuery, *chains: str, expected: Sequence[Head] = ()) -> list[Verdict]:
    exported = [json.dumps(row, default=lambda moment: f"{moment:%Y-%m-%d %H:%M:%S.%f} UTC") for row in await rows_of(bq, *chains)]
    return verify(read_entries(exported), expected)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def store(bq: BigQuery) -> AuditStore:
    return AuditStore(bq)


@asynccontextmanager
async def process(settings: ServiceSettings, clock: SetClock) -> AsyncIterator[AuditAppender]:
    """An auth process, as far as the log is concerned: a BigQuery client and an appender of its own."""
    async with BigQuery(settings, service="auth") as client, AuditAppender(AuditStore(client), clock, gather_seconds=0) as appender:
        yield appender


async def test_two_processes_append_to_the_same_chains_at_once_and_none_forks(
    service_settings: ServiceSettings, bq: BigQuery, clock: SetClock, tenant_id: str
) -> None:
    """Also where both begin a chain, where BigQuery cancels transactions that meet, and where answers are lost."""
    chains = [tenant_id, f"{tenant_id}_b", f"{tenant_id}_c"]
    sent = [[entry(chain, resource=f"n={place}") for chain in chains] for place in range(12)]
    rules = StrictBigQuery(upstream=(service_settings.bigquery_emulator_host or "").removeprefix("http://"), rate=MANY, lose_every=3)
    with strict_bigquery(rules):
        settings = service_settings.model_copy(update={"bigquery_emulator_host": rules.url})
        async with process(settings, clock) as one, process(settings, clock) as other:
            await asyncio.gather(*((one, other)[place % 2].append(entries) for place, entries in enumerate(sent)))
            for entries in sent[:2]:
                await other.append(entries)
    heads, _ = await AuditStore(bq).heads(chains)

    found = await verdicts_of(bq, *chains, expected=list(heads.values()))
    assert [(one.chain, one.entries, one.first_seq, one.problem) for one in found] == [(chain, 12, 1, None) for chain in chains]
    assert {row["entry_id"] for row in await rows_of(bq, *chains)} == {one.entry_id for entries in sent for one in entries}
    assert rules.refused["lost"] > 0


class LosesAnswers(AuditStore):
    """The transaction is done; its answer is lost."""

    lost = 0

    async def append(self, moves: Sequence[tuple[Head, Head]], chained: Sequence[Mapping[str, Any]]) -> bool:
        assert await super().append(moves, chained)
        self.lost += 1
        raise Unavailable("BIGQUERY_UNAVAILABLE", "BigQuery does not answer.")


class MovedOn(AuditStore):
    """What BigQuery's client does when the answer is lost: it sends the same transaction again."""

    async def append(self, moves: Sequence[tuple[Head, Head]], chained: Sequence[Mapping[str, Any]]) -> bool:
        assert await super().append(moves, chained)
        return await super().append(moves, chained)


async def test_a_batch_that_is_sent_again_is_appended_once(bq: BigQuery, store: AuditStore, clock: SetClock, tenant_id: str) -> None:
    """To the same process or to another, alone or together with what came later."""
    first, later = [entry(tenant_id), entry(PLATFORM)], entry(tenant_id)
    losing = LosesAnswers(bq)
    async with AuditAppender(losing, clock, gather_seconds=0) as appender:
        with pytest.raises(Unavailable):
            await appender.append(first)
    assert losing.lost == 1
    async with AuditAppender(store, clock, gather_seconds=0) as other:
        await other.append(first)
        await other.append([*first, later, later])
    async with AuditAppender(MovedOn(bq), clock, gather_seconds=0) as resending:
        await resending.append([last := entry(tenant_id)])

    assert [row["entry_id"] for row in await rows_of(bq, tenant_id)] == [first[0].entry_id, later.entry_id, last.entry_id]
    [verdict] = await verdicts_of(bq, tenant_id)
    assert (verdict.problem, verdict.head.seq) == (None, 3)
    ids = [row["entry_id"] for row in await rows_of(bq, PLATFORM)]
    assert ids.count(first[1].entry_id) == 1


async def test_what_is_deleted_after_its_time_is_the_beginning_of_the_chain(
    bq: BigQuery, store: AuditStore, clock: SetClock, tenant_id: str
) -> None:
    """Also if a process whose clock is behind appends, and if an entry arrives late. What is left can be verified, and goes on."""
    days = [datetime(2001, 3, day, 23, 59, 59, tzinfo=UTC) for day in (10, 12, 11, 13)]
    async with AuditAppender(store, clock, gather_seconds=0) as appender:
        for clock.time in days:
            await appender.append([entry(tenant_id, time=datetime(2001, 3, 10, tzinfo=UTC))])
        deleted = await store.delete_before(days[1].date())
        clock.time = days[-1] + timedelta(hours=1)
        await appender.append([entry(tenant_id, time=clock.time)])

    assert deleted == 1
    assert [row["appended_at"].day for row in await rows_of(bq, tenant_id)] == [12, 12, 13, 14]
    [verdict] = await verdicts_of(bq, tenant_id)
    assert (verdict.problem, verdict.first_seq, verdict.head.seq) == (None, 2, 5)
    await store.delete_before(datetime(2001, 4, 1, tzinfo=UTC).date())


async def test_pages_have_each_entry_once(store: AuditStore, clock: SetClock, tenant_id: str) -> None:
    chains = [tenant_id, f"{tenant_id}_b"]
    async with AuditAppender(store, clock, gather_seconds=0) as appender:
        for number in range(2):
            clock.time += timedelta(seconds=1)
            await appender.append([entry(chain, action=f"A{number}", resource=f"n={place}") for chain in chains for place in range(3)])
    start = clock.time - timedelta(days=1)

    async def pages(chain: str, action: str = "", *, size: int) -> list[tuple[str, int]]:
        found, after = list[dict[str, Any]](), Place()
        while page := await store.list_entries(chain, action, start=start, end=END_OF_TIME, after=after, limit=size):
            found += page
            after = Place(appended_at=page[-1]["appended_at"], chain=page[-1]["chain"], seq=page[-1]["seq"])
        return [(row["chain"], row["seq"]) for row in found if row["chain"] in chains]

    assert await pages(tenant_id, size=4) == [(tenant_id, seq) for seq in (6, 5, 4, 3, 2, 1)]
    assert await pages(tenant_id, "A0", size=2) == [(tenant_id, seq) for seq in (3, 2, 1)]
    everything = await pages("", size=5)
    assert everything == [(chain, seq) for seqs in ((6, 5, 4), (3, 2, 1)) for chain in chains for seq in seqs]
