"""Templates: parses `configs/{provider}/{domain}/{template}.yml`, strictly."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from services.executor.metering.cap import RunCap
from services.executor.records import Period
from services.executor.templates import months
from services.executor.templates.declared import read_parameters
from services.executor.templates.faults import Faults
from services.executor.templates.include import read_entries
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import ParameterSpec, ParameterType, Value, resolve
from services.executor.templates.period import DAY, DAYS, MAX_DAYS, check_days, check_defaults, has_period, period_of, unfilled
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, StepType
from services.executor.templates.step_reader import StepReader, TemplateStep


class Overlap(StrEnum):
    """How a run is treated that covers a day of another active run of the pipeline."""

    ALLOW = "allow"
    """Both run; publishing is fenced and replaces whole days."""
    REFUSE = "refuse"


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A pipeline that can be run."""

    name: PipelineName
    description: str
    timeout_seconds: int
    """A run fails this long after it began, waiting included."""
    parameters: tuple[ParameterSpec, ...]
    most_days: int
    """Maximum number of days of one run, if it covers days. See `period`."""
    overlap: Overlap
    cap: RunCap
    """The most that one run may use. The operator's settings apply to limits that it leaves open."""
    steps: tuple[TemplateStep, ...]
    """Each after those that it needs, otherwise in the file's order."""

    def values_of(
        self, given: Mapping[str, object], *, now: datetime, fire_day: date | None = None, scheduled: bool = False
    ) -> dict[str, Value]:
        """A run's parameters, defaults filled in. Raises InvalidArgument, see `parameters.resolve`."""
        without = (*unfilled(given), *months.unfilled(given))
        values = resolve(self.parameters, given, now=now, fire_day=fire_day, scheduled=scheduled, unfilled=without)
        for spec in self.parameters:
            if spec.type is ParameterType.EXPORT:
                months.check_export(self.name.provider, spec.name, values[spec.name])
        return values

    def check_days(self, given: Mapping[str, object], values: Mapping[str, Value], *, now: datetime) -> None:
        """Raises InvalidArgument for days or months that must not be loaded at `now`, see `period` and `months`."""
        if self.covers_days:
            check_days(given, values, now)
        if self.covers_months:
            months.check_months(values, now)

    @property
    def covers_days(self) -> bool:
        """True if it runs for days, see `period`."""
        return any(spec.name == DAY for spec in self.parameters)

    @property
    def covers_months(self) -> bool:
        """True if it runs for billing periods, see `months`."""
        return any(spec.name == months.MONTHS for spec in self.parameters)

    def period_of(self, values: Mapping[str, Value]) -> Period | None:
        """The days that a run with these parameters covers. Raises InvalidArgument, see `period`."""
        return period_of(values, most_days=self.most_days)


def parse_template(name: PipelineName, section: Section, scope: Scope, step_types: Mapping[str, StepType]) -> Template:
    """Parses one file. Raises TemplateError with all faults that can be found in it."""
    faults = Faults()
    entries, included = read_entries(section, scope.folder, faults)
    own = read_parameters(section, faults)
    parameters = own | {name: spec for name, spec in included.items() if name not in own}
    timeout = faults.attempt(lambda: section.integer("timeout_seconds", 3600), 3600)
    overlap, most_days = faults.attempt(lambda: _period(section, parameters), (Overlap.ALLOW, MAX_DAYS), is_complete=faults.is_complete)
    cap = faults.attempt(lambda: _cap(section), RunCap())
    covers_months = faults.attempt(lambda: _covers_months(section, parameters), DAY not in parameters, is_complete=faults.is_complete)
    scope = replace(scope, parameters=parameters, covers_days=DAY in parameters or covers_months)
    steps = StepReader(scope, step_types, faults, timeout=timeout).read(section, entries)
    description = faults.attempt(lambda: section.text("description"), "")
    faults.attempt(section.finish, None)
    faults.raise_all()
    return Template(
        name=name,
        description=description,
        timeout_seconds=timeout,
        parameters=tuple(parameters.values()),
        most_days=most_days,
        overlap=overlap,
        cap=cap,
        steps=steps,
    )


def _cap(section: Section) -> RunCap:
    entry = section.section_or_none("cap", "cap")
    if entry is None:
        return RunCap()
    bytes_read = entry.integer("bytes_read", 0, least=0, most=2**62)
    cost_usd = entry.number("cost_usd", 0.0)
    entry.finish()
    return RunCap(bytes_read=bytes_read or None, cost_usd=cost_usd or None)


def _period(section: Section, parameters: Mapping[str, ParameterSpec]) -> tuple[Overlap, int]:
    try:
        covers_days = has_period({name: spec.type for name, spec in parameters.items()})
        check_defaults(parameters)
    except ValueError as error:
        raise section.error(str(error), "parameters", may_follow=True) from error
    overlap = Overlap(section.text("overlap", Overlap.ALLOW, among=tuple(Overlap)))
    if overlap is Overlap.REFUSE and not covers_days:
        raise section.error(f"`overlap: refuse` is about days, so it needs the parameter {DAY}", "overlap", may_follow=True)
    if overlap is Overlap.REFUSE and DAYS in parameters:
        raise section.error(f"`overlap: refuse` compares days before a run begins, and with {DAYS} they are not known then", "overlap")
    return overlap, section.integer("most_days", MAX_DAYS, most=366)


def _covers_months(section: Section, parameters: Mapping[str, ParameterSpec]) -> bool:
    try:
        types, choices = ({name: getattr(spec, field) for name, spec in parameters.items()} for field in ("type", "choices"))
        covers = months.has_months(types, choices)
    except ValueError as error:
        raise section.error(str(error), "parameters", may_follow=True) from error
    if covers and DAY in parameters:
        raise section.error(f"a template runs for days, with {DAY}, or for months, with {months.MONTHS}", "parameters")
    return covers
