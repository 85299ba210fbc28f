"""Filters of requests to domain types. All raise InvalidArgument, naming the field."""

from datetime import date

from services.executor.records import RunStatus
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import ParameterType, parse
from services.platform.errors import InvalidArgument


def to_status(text: str) -> RunStatus | None:
    """A run's status; None if empty."""
    if text and text not in RunStatus.__members__:
        raise InvalidArgument("status", f"use one of {', '.join(RunStatus)}.")
    return RunStatus(text) if text else None


def to_pipeline(text: str) -> PipelineName | None:
    """The pipeline of that name; None if empty."""
    if not text:
        return None
    name = PipelineName.parse(text)
    if name is None:
        raise InvalidArgument("pipeline", "use `gcp/cost/billing` or `gcp-cost-billing`.")
    return name


def to_day(text: str, field: str) -> date | None:
    """A day, YYYY-MM-DD; None if empty."""
    if not text:
        return None
    try:
        day = parse(ParameterType.DATE, text)
    except ValueError as error:
        raise InvalidArgument(field, str(error)) from error
    return day if isinstance(day, date) else None
