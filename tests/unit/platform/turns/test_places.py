"""Places are shared fairly: no tenant starves, a quarter is a tenant's share while others wait, and no place stays free in vain."""

import asyncio
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.platform.turns.places import SHARE, FairPlaces, WaitingLine

TENANTS = "abcde"
EVENTS = st.lists(
    st.tuples(st.sampled_from(["join"] * 4 + ["end"] * 3 + ["leave"]), st.sampled_from(TENANTS), st.integers(0, 9)),
    min_size=60,
    max_size=90,
)


class Model:
    """What has happened in a line, kept apart from it."""

    def __init__(self, places: int, kept: int) -> None:
        self.line: WaitingLine[tuple[str, int]] = WaitingLine(places, kept=kept)
        self.kept = kept
        self.places, self.share = places, max(1, places // SHARE)
        self.held = Counter[str]()
        self.waiting = defaultdict[str, list[int]](list)
        self.ahead = dict[str, int]()
        """Of each tenant in the line: how many others may still be served before it, while it is below its share."""
        self.tickets = 0

    @property
    def standing(self) -> set[str]:
        return {tenant for tenant, tickets in self.waiting.items() if tickets}

    def happen(self, event: str, tenant: str, which: int) -> None:
        match event:
            case "join":
                if not self.waiting[tenant]:
                    self.ahead[tenant] = len(self.standing)
                self.tickets += 1
                self.waiting[tenant].append(self.tickets)
                self.line.join(tenant, (tenant, self.tickets))
            case "leave" if tickets := self.waiting[tenant]:
                ticket = tickets.pop(which % len(tickets))
                assert self.line.leave(tenant, (tenant, ticket))
                assert not self.line.leave(tenant, (tenant, ticket))
            case "end" if self.held[tenant]:
                self.held[tenant] -= 1
                self.line.free(tenant)
        while (granted := self.line.grant()) is not None:
            self._check(*granted)
        kept = self.kept if all(self.held[tenant] >= self.share for tenant in self.standing) else 0
        assert not self.standing or self.held.total() >= self.places - kept, "a place is free, and somebody waits"

    def _check(self, tenant: str, ticket: int) -> None:
        assert self.waiting[tenant].pop(0) == ticket, "a tenant's own work waits in order"
        others = {one for one in self.standing if one != tenant}
        if self.held[tenant] >= self.share:
            assert all(self.held[one] >= self.share for one in others), "beyond its share while one below it waits"
            assert all(self.held[one] >= self.held[tenant] for one in others)
            assert self.held.total() < self.places - self.kept, "a kept place went to a tenant that has its share"
        for other in others:
            if self.held[other] < self.share:
                self.ahead[other] -= 1
                assert self.ahead[other] >= 0, f"{other} has been passed over"
            else:
                self.ahead[other] = len(self.standing)  # counts anew from when it is below its share
        self.ahead[tenant] = len(others)
        self.held[tenant] += 1
        assert self.held.total() <= self.places


@given(st.sampled_from([(1, 0), (3, 0), (8, 0), (8, 1), (13, 0), (13, 5)]), EVENTS)
def test_no_tenant_starves_and_no_place_stays_free(places: tuple[int, int], events: list[tuple[str, str, int]]) -> None:
    model = Model(*places)
    for event in events:
        model.happen(*event)


async def _work(places: FairPlaces, tenant: str, begun: list[str], end: asyncio.Event) -> None:
    async with places.of(tenant):
        begun.append(tenant)
        await end.wait()


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_crowd_of_one_tenant_holds_another_up_for_one_place_only() -> None:
    """Alone it has all places; the next that comes free is the other's."""
    places, begun, ends = FairPlaces(8), list[str](), [asyncio.Event() for _ in range(25)]
    tasks = [asyncio.create_task(_work(places, "greedy", begun, end)) for end in ends[:24]]
    await _settled()
    tasks.append(asyncio.create_task(_work(places, "good", begun, ends[24])))
    await _settled()
    assert begun == ["greedy"] * 8
    ends[3].set()
    await _settled()
    assert begun == ["greedy"] * 8 + ["good"]
    for end in ends:
        end.set()
    await asyncio.gather(*tasks)
    assert len(begun) == 25


async def test_a_kept_place_is_free_for_a_tenant_that_comes_late() -> None:
    """However long the greedy one's work takes. It does not get that place when it is free again, either."""
    places, begun, end, good_end = FairPlaces(8, kept=1), list[str](), asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(_work(places, "greedy", begun, end)) for _ in range(24)]
    await _settled()
    tasks.append(asyncio.create_task(_work(places, "good", begun, good_end)))
    await _settled()
    assert begun == ["greedy"] * 7 + ["good"]
    good_end.set()
    await _settled()
    assert len(begun) == 8
    end.set()
    await asyncio.gather(*tasks)
    assert len(begun) == 25


@pytest.mark.parametrize("granted_before", [False, True])
async def test_work_that_is_cancelled_leaves_its_place_to_the_next(granted_before: bool) -> None:
    """While it waits, and in the moment between the grant and its beginning."""
    places, begun, end = FairPlaces(1), list[str](), asyncio.Event()
    first = asyncio.create_task(_work(places, "a", begun, end))
    await _settled()
    cancelled, next_one = (asyncio.create_task(_work(places, name, begun, asyncio.Event())) for name in "bc")
    await _settled()
    if granted_before:
        end.set()
        while not first.done():
            await asyncio.sleep(0)
    cancelled.cancel()
    end.set()
    await asyncio.wait([first, cancelled])
    await _settled()
    assert begun == ["a", "c"]
    next_one.cancel()
    await asyncio.wait([next_one])
    async with asyncio.timeout(1), places.of("d"):
        pass
