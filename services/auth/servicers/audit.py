"""AuditService, and AuditAppendService for the other services: decode, call the log, encode."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from convergence.auth.v1 import audit_append_service_pb2 as appending
from convergence.auth.v1 import audit_service_pb2 as messages
from convergence.auth.v1.audit_append_service_pb2_grpc import AuditAppendServiceServicer
from convergence.auth.v1.audit_entry_pb2 import AuditEntry as EntryMessage
from convergence.auth.v1.audit_entry_pb2 import AuditHead
from convergence.auth.v1.audit_service_pb2_grpc import AuditServiceServicer

from services.auth.audit.appender import AuditAppender
from services.auth.audit.chain import Head
from services.auth.audit.store import END_OF_TIME, AuditStore, Place
from services.auth.tenants.store import TenantStore
from services.platform.audit.delivery import MAX_BATCH
from services.platform.audit.entry import PLATFORM, AuditEntry
from services.platform.clock import Clock
from services.platform.errors import InvalidArgument
from services.platform.identifiers import TENANT_ID
from services.platform.rpc.paging import from_token, page_size, to_token
from services.platform.timestamps import to_timestamp

type Context = grpc.aio.ServicerContext[Any, Any]
type Listed = messages.ListAuditEntriesRequest | messages.ListAllAuditEntriesRequest

USUAL_SPAN = timedelta(days=30)
FIRST_YEAR, LAST_YEAR = 2000, 2100
MAX_TEXT = 512
"""Characters of any text of an entry; what services record is shorter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page of entries, as the two responses have it."""

    entries: list[EntryMessage]
    head: AuditHead | None
    next_page_token: str


class AuditServicer(AuditServiceServicer):
    """AuditService, as the proto describes it."""

    def __init__(self, store: AuditStore, tenants: TenantStore, clock: Clock) -> None:
        self._store, self._tenants, self._clock = store, tenants, clock

    async def ListAuditEntries(self, request: messages.ListAuditEntriesRequest, context: Context) -> messages.ListAuditEntriesResponse:
        """Raises InvalidArgument."""
        page = await self._page(request, request.tenant_id)
        return messages.ListAuditEntriesResponse(entries=page.entries, head=page.head, next_page_token=page.next_page_token)

    async def ListAllAuditEntries(
        self, request: messages.ListAllAuditEntriesRequest, context: Context
    ) -> messages.ListAllAuditEntriesResponse:
        """Raises InvalidArgument, NotFound."""
        if request.chain and request.chain != PLATFORM and not TENANT_ID.fullmatch(request.chain):
            raise InvalidArgument("chain", "use a tenant's id, - for the platform's chain, or leave it out for all.")
        page = await self._page(request, request.chain)
        if request.chain not in {"", PLATFORM} and page.head is not None and not page.head.seq:
            # A chain that has not begun: of a tenant that nothing was done to yet, or of none.
            await self._tenants.get(request.chain)
        return messages.ListAllAuditEntriesResponse(entries=page.entries, head=page.head, next_page_token=page.next_page_token)

    async def _page(self, request: Listed, chain: str) -> Page:
        end = _moment("end_time", request.end_time) or END_OF_TIME
        start = _moment("start_time", request.start_time) or min(end, self._clock.now()) - USUAL_SPAN
        if start >= end:
            raise InvalidArgument("start_time", "use a time before end_time.")
        size, after = page_size(request.page_size), _place(request.page_token)
        # Read first, so that the head is among the entries unless one is appended in between; later entries are on no later page.
        head = (await self._store.heads({chain}))[0].get(chain, Head(chain=chain)) if chain else None
        # One more than requested, to know whether there is a next page.
        rows = await self._store.list_entries(chain, request.action, start=start, end=end, after=after, limit=size + 1)
        page = rows[:size]
        return Page(
            entries=[_to_proto(row) for row in page],
            head=AuditHead(chain=head.chain, seq=head.seq, hash=head.hash) if head else None,
            next_page_token=to_token(page[-1]["appended_at"], f"{page[-1]['chain']}:{page[-1]['seq']}") if len(rows) > size else "",
        )


class AuditAppendServicer(AuditAppendServiceServicer):
    """AuditAppendService, as the proto describes it."""

    def __init__(self, appender: AuditAppender) -> None:
        self._appender = appender

    async def AppendAuditEntries(
        self, request: appending.AppendAuditEntriesRequest, context: Context
    ) -> appending.AppendAuditEntriesResponse:
        """Raises InvalidArgument, Unavailable."""
        if len(request.entries) > MAX_BATCH:
            raise InvalidArgument("entries", f"send at most {MAX_BATCH} at once.")
        entries = [_from_proto(entry, f"entries[{place}]") for place, entry in enumerate(request.entries)]
        await self._appender.append(entries, urgent=request.urgent)
        return appending.AppendAuditEntriesResponse()


def _from_proto(sent: EntryMessage, field: str) -> AuditEntry:
    if not sent.entry_id or (sent.chain != PLATFORM and not TENANT_ID.fullmatch(sent.chain)):
        raise InvalidArgument(field, "needs an entry_id, and as its chain a tenant's id or -.")
    if any(len(value) > MAX_TEXT for _, value in sent.ListFields() if isinstance(value, str)):
        raise InvalidArgument(field, f"use at most {MAX_TEXT} characters in each text.")
    try:
        entry = AuditEntry.from_proto(sent)
        if FIRST_YEAR <= entry.time.year <= LAST_YEAR:
            return entry
        raise ValueError("not a time of ours")
    except (ValueError, OverflowError):
        raise InvalidArgument(f"{field}.time", "give a time such as 2026-12-31T23:59:59Z.") from None


def _to_proto(row: Mapping[str, Any]) -> EntryMessage:
    times = {name: to_timestamp(row[name]) for name in ("time", "appended_at")}
    return EntryMessage(**{**row, **times})


def _place(page_token: str) -> Place:
    found = from_token(page_token)
    if found is None:
        return Place()
    appended_at, place = found
    chain, _, seq = place.partition(":")
    if not seq.isdecimal():
        raise InvalidArgument("page_token", "use next_page_token of the page before, unchanged.")
    return Place(appended_at=appended_at, chain=chain, seq=int(seq))


def _moment(field: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise ValueError("not a time of ours")
    except ValueError:
        raise InvalidArgument(field, "give a time with its zone, such as 2026-12-31T23:59:59Z.") from None
    return moment.astimezone(UTC)
