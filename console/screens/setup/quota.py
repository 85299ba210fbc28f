"""The limits of a tenant as bars. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.web.wording import count, minute, money

NEARLY = 0.8
"""From here on a bar warns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """One limit, and how much of it is used."""

    title: str
    used: str
    most: str
    """`unlimited` if there is none."""
    share: float
    """0 to 1, and more if the limit was lowered since; 0 without a limit."""
    resets: str
    is_refusing: bool
    """True: it would refuse the next run."""

    @property
    def kind(self) -> str:
        """bad, warn or empty."""
        return "bad" if self.is_refusing else "warn" if self.share >= NEARLY else ""


def limits_of(quota: Mapping[str, Any]) -> list[Limit]:
    """The four limits of GetQuota's answer, in the order in which they last."""
    refusing = quota["refusing_limit"]
    day, month = minute(quota["daily_resets_at"]), minute(quota["monthly_resets_at"])
    return [
        _runs("Runs at once", quota["concurrent_pipelines_running"], quota.get("concurrent_limit"), "", refusing == "CONCURRENT"),
        _runs("Runs today", quota["pipelines_run_today"], quota.get("daily_limit"), day, refusing == "DAILY"),
        _runs("Runs this month", quota["pipelines_run_month"], quota.get("monthly_limit"), month, refusing == "MONTHLY"),
        _limit(
            "Cost of runs this month",
            (quota["cost_usd_month"], money(quota["cost_usd_month"])),
            (quota.get("monthly_cost_limit_usd"), money(quota.get("monthly_cost_limit_usd"))),
            month,
            is_refusing=refusing == "MONTHLY_COST",
        ),
    ]


def _runs(title: str, used: int, most: int | None, resets: str, is_refusing: bool) -> Limit:  # noqa: FBT001 - of this module alone
    return _limit(title, (used, count(used)), (most, count(most)), resets, is_refusing=is_refusing)


def _limit(title: str, used: tuple[float, str], most: tuple[float | None, str], resets: str, *, is_refusing: bool) -> Limit:
    limit, text = most
    share = 0.0 if limit is None else 1.0 if limit <= 0 else used[0] / limit
    return Limit(
        title=title, used=used[1], most="unlimited" if limit is None else text, share=share, resets=resets, is_refusing=is_refusing
    )


def usage_bars(days: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, str, float]]:
    """Day, runs, cost and height (0 to 1) for a small chart of GetUsage's days."""
    highest = max((one["usage"]["cost_usd"] for one in days), default=0) or 1
    return [(one["usage_date"], one["usage"]["runs"], money(one["usage"]["cost_usd"]), one["usage"]["cost_usd"] / highest) for one in days]
