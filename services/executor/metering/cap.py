"""The most that a run may use, and the error for more. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.executor.errors import StepError
from services.platform.money import decimals

BYTES_READ: Final = "bytes_read"
COST: Final = "cost_usd"
MONTH: Final = "monthly_cost_limit_usd"
EXPORT: Final = "max_export_bytes"
UNITS: Final = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCap:
    """The most that one run may use; None: no limit."""

    bytes_read: int | None = None
    """Of the tenant's data."""
    cost_usd: float | None = None
    """Of both bills together."""

    def or_else(self, default: "RunCap") -> "RunCap":
        """With the limits of `default` where this one has none."""
        return RunCap(
            bytes_read=default.bytes_read if self.bytes_read is None else self.bytes_read,
            cost_usd=default.cost_usd if self.cost_usd is None else self.cost_usd,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAllowance:
    """What the tenant's plan leaves one run, as it is known when the run is admitted; None: no limit, or it is not known."""

    month_left_usd: float | None = None
    """What was left of the monthly cost limit."""
    max_export_bytes: int | None = None
    """Bytes that the run may read of a billing export."""


NO_LIMITS: Final = RunAllowance()


def smallest[Number: (int, float)](limits: Iterable[tuple[Number | None, str]]) -> tuple[Number, str] | None:
    """The limit that refuses first, with its name; None if there is none."""
    return min(((limit, name) for limit, name in limits if limit is not None), default=None)


class CapExceeded(StepError):
    """A run would use more than it may, or has."""

    def __init__(self, name: str, *, most: float, needed: float, has_begun: bool) -> None:
        """`needed`: what the run would come to, or has come to, in the unit of the cap: bytes or US dollars."""
        show = _size if name in {BYTES_READ, EXPORT} else _dollars
        over = needed - most
        what = {
            BYTES_READ: f"the cap of a run, {show(most)} read",
            EXPORT: f"one run may read of an export by the tenant's plan, {show(most)}",
            COST: f"the cap of a run, {show(most)}",
            MONTH: f"what was left of this month's limit, {show(most)}",
        }[name]
        verb = "has come to" if has_begun else "would come to"
        end = "It was stopped." if has_begun else "This step was refused before it read."
        then = {
            BYTES_READ: "Run fewer days, or ask the operator for a larger `cap.bytes_read` (CONVERGENCE_RUN_MAX_BYTES_READ).",
            EXPORT: "Run fewer days or months, or ask for a plan with a larger `max_export_bytes`.",
            COST: "Run fewer days, or ask the operator for a larger `cap.cost_usd` (CONVERGENCE_RUN_MAX_COST_USD).",
            MONTH: "Run fewer days, wait for the next month, or ask for a larger `monthly_cost_limit_usd`.",
        }[name]
        super().__init__(
            f"The run {verb} {show(needed)}: {show(over)} more than {what}. {end} {then}",
            metadata={"cap": {"name": name, "most": most, "needed": needed, "over_by": over}},
        )


def _size(size: float) -> str:
    unit, name = next(((unit, name) for unit, name in UNITS if abs(size) >= unit), (1, "bytes"))
    return f"{size / unit:,.2f} {name}" if unit > 1 else f"{size:,.0f} {name}"


def _dollars(usd: float) -> str:
    return f"{usd:,.{decimals(usd, 6)}f} USD"
