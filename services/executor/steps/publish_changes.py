"""What a publish has changed, in words: the days, or for exported files the months, that moved or would lose too much. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from services.executor.errors import StepError
from services.executor.ledger.moves import CostMove
from services.executor.steps.publish_script import ACCEPT_LESS
from services.platform.money import decimals

DIGITS: Final = 6
"""Decimal places of money in a step's log line: further ones of a FLOAT64 sum are noise."""
MAX_DAYS_NAMED: Final = 5
"""Days named in an error message."""
_SUMMED: Final = ("rows_before", "rows_after", "cost_before", "cost_after", "net_before", "net_after")


def by_day(changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The changes of each day and currency, services together, in order."""
    days = dict[tuple[date, str | None], dict[str, Any]]()
    for change in changes:
        day = days.setdefault(
            (change["usage_date"], change["currency"]),
            {"usage_date": change["usage_date"], "currency": change["currency"], "is_too_little": False, **dict.fromkeys(_SUMMED, 0)},
        )
        day |= {name: day[name] + change[name] for name in _SUMMED}
        day["is_too_little"] |= change["is_too_little"]
    return sorted(days.values(), key=lambda day: (day["usage_date"], day["currency"] or ""))


def by_month(changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The changes of each billing period and currency, without the rows of others that stay."""
    months = dict[tuple[date, str | None], dict[str, Any]]()
    for change in changes:
        if (first := change["unit"]) is None:
            continue
        month = months.setdefault(
            (first, change["currency"]), {**change, "usage_date": first, "name": f"{first:%Y-%m}", **dict.fromkeys(_SUMMED, 0)}
        )
        month |= {name: month[name] + change[name] for name in _SUMMED}
        month["is_too_little"] |= change["is_too_little"]
    return sorted(months.values(), key=lambda month: (month["usage_date"], month["currency"] or ""))


def too_little(changes: Sequence[Mapping[str, Any]]) -> StepError | None:
    """The error if a day would lose more than half of its rows or of its cost before credits, else None."""
    lost = [change for change in changes if change["is_too_little"]]
    if not lost:
        return None
    days = [_what_is_kept(change) for change in lost[:MAX_DAYS_NAMED]]
    more = f"; and {len(lost) - MAX_DAYS_NAMED} more" if len(lost) > MAX_DAYS_NAMED else ""
    message = (
        f"Nothing was published, for a {'month' if 'name' in lost[0] else 'day'} would lose more than half of what it holds: "
        f"{'; '.join(days)}{more}. "
        f"Check that the export is complete and is the right one; if less is right, run it again with {ACCEPT_LESS}: true."
    )
    return StepError(message, is_retryable=True, metadata={"too_little": [moved(change) | _rows_of(change) for change in lost]})


def _what_is_kept(change: Mapping[str, Any]) -> str:
    currency = f" {change['currency']}" if change["currency"] else ""
    rows = f"{change.get('name', change['usage_date'])} would keep {change['rows_after']} of {change['rows_before']}{currency} rows"
    after, before = (f"{one:.{decimals(one)}f}" for one in (change["cost_after"], change["cost_before"]))
    return f"{rows} and {after} of {before}{currency}" if change["cost_before"] else rows


def _rows_of(change: Mapping[str, Any]) -> dict[str, object]:
    return {"rows_before": change["rows_before"], "rows_after": change["rows_after"]}


def cost_move(change: Mapping[str, Any], final_days: Sequence[date]) -> CostMove:
    """By how much a day has moved that was published before."""
    return CostMove(
        usage_date=change["usage_date"],
        currency=change["currency"],
        before=change["net_before"],
        after=change["net_after"],
        was_final=change["usage_date"] in final_days,
    )


def moved(change: Mapping[str, Any]) -> dict[str, object]:
    """The same for a step's log line."""
    before, after = float(change["net_before"]), float(change["net_after"])
    return {
        "usage_date": change["usage_date"].isoformat(),
        "currency": change["currency"],
        "cost_before": round(before, DIGITS),
        "cost_after": round(after, DIGITS),
        "cost_moved": round(after - before, DIGITS),
    }
