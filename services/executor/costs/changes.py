"""Changes of published costs: the filter of a request, and pages."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from services.executor.costs.question import read_day
from services.platform.errors import InvalidArgument
from services.platform.rpc.paging import from_token

NAME_LENGTH: Final = 512
FIRST_PARTITION, LAST_PARTITION = date(2000, 1, 1), date(2100, 1, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeFilter:
    """Which changes to list; None: all."""

    first_day: date | None = None
    last_day: date | None = None
    changed_from: datetime | None = None
    changed_before: datetime | None = None
    service: str | None = None
    source: str | None = None
    after_final: bool | None = None
    after: tuple[datetime, str] | None = None
    """Moment and key of the previous page's last change."""

    @property
    def params(self) -> dict[str, object]:
        """The parameters of list_cost_changes but for its limit."""
        moment, key = self.after or (None, None)
        until = [one for one in (self.changed_before, moment) if one is not None]
        return {
            "first_day": self.first_day,
            "last_day": self.last_day,
            "first_partition": self.changed_from.date() if self.changed_from else FIRST_PARTITION,
            # Newest first: no page has a change newer than those of the page before.
            "last_partition": min(until).date() if until else LAST_PARTITION,
            "changed_from": self.changed_from,
            "changed_before": self.changed_before,
            "service": self.service,
            "source": self.source,
            "after_final": self.after_final,
            "after_changed_at": moment,
            "after_key": key,
        }


def read_change_filter(  # noqa: PLR0913 - the fields of the request
    *,
    start_date: str,
    end_date: str,
    changed_from: str,
    changed_before: str,
    service: str,
    source: str,
    after_final: bool | None,
    page_token: str,
) -> ChangeFilter:
    """The filter of a request; empty texts mean all. Raises InvalidArgument, naming the field and what it takes."""
    first, last = (read_day(name, text) if text else None for name, text in (("start_date", start_date), ("end_date", end_date)))
    if first and last and last < first:
        raise InvalidArgument("end_date", "use start_date or a later day.")
    since, before = _moment("changed_from", changed_from), _moment("changed_before", changed_before)
    if since and before and before <= since:
        raise InvalidArgument("changed_before", "use a moment after changed_from.")
    return ChangeFilter(
        first_day=first,
        last_day=last,
        changed_from=since,
        changed_before=before,
        service=read_name("service", service),
        source=read_name("source", source),
        after_final=after_final,
        after=from_token(page_token),
    )


def read_name(field: str, text: str) -> str | None:
    """A name to compare with; None if it is empty. Raises InvalidArgument if it is longer than any name."""
    if len(text) > NAME_LENGTH:
        raise InvalidArgument(field, f"use at most {NAME_LENGTH} characters.")
    return text or None


def _moment(field: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    # A date alone means midnight UTC. A time needs a timezone.
    if moment is not None and moment.tzinfo is None and len(text) == len("2025-11-17"):
        moment = moment.replace(tzinfo=UTC)
    if moment is None or moment.tzinfo is None or not FIRST_PARTITION < moment.date() < LAST_PARTITION - timedelta(days=1):
        raise InvalidArgument(field, "use a moment with its timezone, 2025-11-17T06:00:00Z, or a UTC day, 2025-11-17.")
    return moment.astimezone(UTC)
