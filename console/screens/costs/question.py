"""What the reader asks for, as the address has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from console.web.listing import address

DAYS = 30
"""What is shown if no range is given."""
LONGEST_BY_DAY = 92
"""Of a longer range the chart shows months, unless days are asked for: more bars cannot be kept apart by eye."""
MOST_BARS = 400
"""Of a longer range there are months alone: each bar is a line of the table, too."""
TOP = 7
"""Groups with a colour of their own; the others are one bar."""
CHANGED_DAYS = 7
MOST_DAYS = 1_100
"""GetCosts takes no longer range."""
GROUPS = ("provider", "service", "account", "region", "category", "charge_category")
METRICS = ("billed", "list", "effective")


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """All fields are as the form sends them; the API refuses what it does not take."""

    start: str
    end: str
    group: str
    """One of GROUPS, or `tag:KEY`."""
    metric: str
    granularity: str
    filter: str
    """`dimension=value`, or empty."""
    currency: str
    """Empty: that of the greatest total."""
    since: str
    """Changes from this day on."""

    @property
    def costs(self) -> dict[str, object]:
        """The query of GetCosts for the chart."""
        return {
            **self.range,
            "group_by": self.group,
            "metric": self.metric,
            "granularity": self.granularity,
            "filter": self.list_filter or self.filter,
            "top": TOP,
            "page_size": 200,
        }

    @property
    def kinds(self) -> dict[str, object]:
        """The query for what was billed by kind of charge: usage, purchases, taxes, credits."""
        return {**self.range, "group_by": "charge_category", "filter": self.filter, "page_size": 200}

    @property
    def at_list_price(self) -> dict[str, object]:
        """The query for usage at list prices."""
        return {**self.range, "metric": "list", "filter": "charge_category=Usage", "page_size": 1}

    @property
    def list_filter(self) -> str:
        """List prices are of usage alone: a purchase has one, too, that its usage has again."""
        return "charge_category=Usage" if self.metric == "list" and not self.filter else ""

    @property
    def range(self) -> dict[str, str]:
        """The days."""
        return {"start_date": self.start, "end_date": self.end}

    def address(self, path: str = "/costs", /, **changed: str) -> str:
        """This question with other values, at a page of the screen."""
        names = ("start", "end", "group", "metric", "granularity", "filter", "currency", "since")
        values = {name: changed.get(name, getattr(self, name)) for name in names}
        return address(path, values)


def question_of(query: Mapping[str, str], today: date) -> Question:
    """The question of an address; `today` in UTC. What is missing or no date gets the usual value."""
    end = _day(query.get("end", "")) or today - timedelta(days=1)
    start = _day(query.get("start", "")) or end - timedelta(days=DAYS - 1)
    key = query.get("tag", "")
    granularity = query.get("granularity", "") or ("day" if (end - start).days < LONGEST_BY_DAY else "month")
    if granularity == "day" and (end - start).days >= MOST_BARS:
        granularity = "month"
    return Question(
        start=start.isoformat(),
        end=end.isoformat(),
        group=f"tag:{key}" if query.get("group") == "tag" and key else query.get("group", "") or "service",
        metric=query.get("metric", "") or "billed",
        granularity=granularity,
        filter=query.get("filter", ""),
        currency=query.get("currency", ""),
        since=(_day(query.get("since", "")) or today - timedelta(days=CHANGED_DAYS)).isoformat(),
    )


def ranges_of(today: date) -> list[tuple[str, str, str]]:
    """Ranges that are asked for often: name, first and last day."""
    yesterday, this_month = today - timedelta(days=1), today.replace(day=1)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    return [
        ("30 days", (yesterday - timedelta(days=29)).isoformat(), yesterday.isoformat()),
        ("This month", this_month.isoformat(), today.isoformat()),
        ("Last month", last_month.isoformat(), (this_month - timedelta(days=1)).isoformat()),
        ("12 months", (this_month - timedelta(days=364)).replace(day=1).isoformat(), today.isoformat()),
        ("3 years", (today - timedelta(days=MOST_DAYS - 32)).replace(day=1).isoformat(), today.isoformat()),
    ]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
