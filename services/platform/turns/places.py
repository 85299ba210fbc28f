"""A limited number of places, shared fairly by tenants: for work that each tenant may have in any amount."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final

from services.platform.turns import ALL, on_behalf_of

SHARE: Final = 4
"""A tenant that holds a quarter of the places gets no further one while a tenant with fewer waits."""


class WaitingLine[Ticket]:
    """Decides who gets the next free place. Pure; tickets are compared by `==`.

    Tenants take turns: after a grant, a tenant goes to the end of the line. A tenant that holds its share is passed over while a tenant
    below its share waits. If all waiting tenants hold their share, the tenant with the fewest places is next. So only the `kept` places
    stay free while work waits. A tenant below its share waits for at most one grant to each tenant that was in the line before it.
    """

    def __init__(self, places: int, *, kept: int = 0) -> None:
        """`places`: the number of places, at least one. `kept`: how many of them, fewer than all, are only for tenants below their share:
        if work takes long, such a tenant need not wait until a place becomes free.
        """
        self._places, self._share, self._kept = places, max(1, places // SHARE), kept
        self._held = Counter[str]()
        self._line = dict[str, deque[Ticket]]()  # in the order of the tenants' turns

    def join(self, tenant_id: str, ticket: Ticket) -> None:
        """One more piece of the tenant's work waits, behind its others."""
        self._line.setdefault(tenant_id, deque()).append(ticket)

    def leave(self, tenant_id: str, ticket: Ticket) -> bool:
        """The work waits no longer. False if it does not wait: it has got its place."""
        tickets = self._line.get(tenant_id, deque())
        if ticket not in tickets:
            return False
        tickets.remove(ticket)
        if not tickets:
            del self._line[tenant_id]
        return True

    def free(self, tenant_id: str) -> None:
        """One of the tenant's places is free again."""
        self._held[tenant_id] -= 1
        self._held += Counter()  # drops zeros

    def grant(self) -> Ticket | None:
        """Gives a free place to the next in turn; None if no place is free for those that wait, or no work waits."""
        if not self._line or self._held.total() >= self._places:
            return None
        tenant_id = min(self._line, key=self._rank)  # among equals, the first in the line
        if self._rank(tenant_id) and self._held.total() >= self._places - self._kept:
            return None
        tickets = self._line.pop(tenant_id)
        ticket = tickets.popleft()
        if tickets:
            self._line[tenant_id] = tickets
        self._held[tenant_id] += 1
        return ticket

    def _rank(self, tenant_id: str) -> int:
        held = self._held[tenant_id]
        return held if held >= self._share else 0


class FairPlaces:
    """The places of one process."""

    def __init__(self, places: int, *, kept: int = 0) -> None:
        """As for `WaitingLine`."""
        self._line: WaitingLine[asyncio.Future[None]] = WaitingLine(places, kept=kept)

    @asynccontextmanager
    async def of(self, tenant_id: str) -> AsyncIterator[None]:
        """Waits for a place, and holds it while the context is open. May be cancelled at any time."""
        ticket = asyncio.get_running_loop().create_future()
        self._line.join(tenant_id, ticket)
        self._grant()
        try:
            await ticket
        except asyncio.CancelledError:
            if not self._line.leave(tenant_id, ticket):
                self._free(tenant_id)
            raise
        try:
            yield
        finally:
            self._free(tenant_id)

    def of_this_task(self) -> AbstractAsyncContextManager[None]:
        """`of` the tenant whose call the current task answers. The suite's own work has no need of a place."""
        tenant_id = on_behalf_of.get()
        return nullcontext() if tenant_id == ALL else self.of(tenant_id)

    def _free(self, tenant_id: str) -> None:
        self._line.free(tenant_id)
        self._grant()

    def _grant(self) -> None:
        while (ticket := self._line.grant()) is not None:
            if not ticket.cancelled():  # else `of` gives the place back when it runs
                ticket.set_result(None)
