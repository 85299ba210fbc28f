"""The billing periods that a run covers, in templates that declare one of these parameters:
  - `month`: one billing period;
  - `months: open`: the periods that the cloud may still change, if they have changed since the last run.

These names have the same meaning in every template. A billing period is a calendar month and is replaced as a whole. The days on which it
has rows are known only after it was read.
"""

from collections.abc import Mapping
from datetime import date, datetime

from services.executor.templates.parameters import ParameterType, Value
from services.platform.clock import utc_day
from services.platform.errors import InvalidArgument

MONTH = "month"
MONTHS, OPEN = "months", "open"
S3 = "s3://"
LOCATIONS = {"aws": f"{S3}bucket/prefix/name", "azure": "account/container/directory/name"}


def has_months(types: Mapping[str, ParameterType], choices: Mapping[str, tuple[str, ...]]) -> bool:
    """True if a template with these parameters runs for billing periods. `choices`: of each parameter of type choice. Raises ValueError,
    saying what is wrong.
    """
    if MONTHS in types and (choices.get(MONTHS) != (OPEN,) or MONTH not in types):
        raise ValueError(f"the parameter {MONTHS} must be of type {ParameterType.CHOICE} with the one choice {OPEN}, and goes with {MONTH}")
    return MONTHS in types


def unfilled(given: Mapping[str, object]) -> tuple[str, ...]:
    """The parameters that get no default: if `month` or `months` is given, the other gets none."""
    return (MONTH, MONTHS) if any(given.get(name) is not None for name in (MONTH, MONTHS)) else ()


def check_months(values: Mapping[str, Value], now: datetime, *, path: str = "parameters.") -> None:
    """Raises InvalidArgument, naming `{path}{name}`, unless exactly one of the two is present, and for a future month."""
    month, is_open = month_of(values), values.get(MONTHS) == OPEN
    if month and is_open:
        raise InvalidArgument(f"{path}{MONTHS}", f"give either {MONTHS}, or {MONTH}.")
    if not month and not is_open:
        raise InvalidArgument(f"{path}{MONTH}", f"is required. Give {MONTH}, YYYY-MM, or {MONTHS}: {OPEN}.")
    if month and month > utc_day(now):
        raise InvalidArgument(f"{path}{MONTH}", f"{month:%Y-%m} is still to come; in UTC it is {utc_day(now).isoformat()}.")


def check_export(provider: str, name: str, value: Value, *, path: str = "parameters.") -> None:
    """Raises InvalidArgument, naming `{path}{name}`, for the location of an export in another cloud. `provider`: lower-case."""
    if provider in LOCATIONS and isinstance(value, str) and value.startswith(S3) != (provider == "aws"):
        raise InvalidArgument(f"{path}{name}", f"use a location in this pipeline's cloud: {LOCATIONS[provider]}.")


def month_of(values: Mapping[str, Value]) -> date | None:
    """The first day of `month`; None if it is not given."""
    month = values.get(MONTH)
    return date.fromisoformat(f"{month}-01") if isinstance(month, str) else None
