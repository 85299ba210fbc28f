"""Templates: parses `configs/{provider}/{domain}/{template}.yml`, strictly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from services.executor.metering.cap import RunCap
from services.executor.records import Period
from services.executor.templates import months
from services.executor.templates.declared import read_parameters
from services.executor.templates.graph import When, ancestors, find_cycle, topological_order
from services.executor.templates.include import StepEntry, read_entries
from services.executor.templates.name import SEGMENT, PipelineName
from services.executor.templates.parameters import ParameterSpec, ParameterType, Value, resolve
from services.executor.templates.period import DAY, DAYS, MAX_DAYS, check_days, check_defaults, has_period, period_of, unfilled
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step, StepType


class Overlap(StrEnum):
    """What happens to a run that covers a day of another active run of the pipeline."""

    ALLOW = "allow"
    """Both run; publishing is fenced and replaces whole days."""
    REFUSE = "refuse"


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateStep:
    """One step of a template."""

    id: str
    type: str
    index: int
    """From 0, in the file's order."""
    needs: tuple[str, ...]
    """Ids of steps that must have ended first; acyclic."""
    ancestors: frozenset[str]
    """All steps that it needs, directly or indirectly: the ones whose outputs it can use."""
    when: When
    attempts: int
    """How often it is tried in all, if its error is retryable."""
    timeout_seconds: int
    """For each try."""
    action: Step
    is_included: bool = False
    """It comes from another template, see `include`."""

    @property
    def is_work(self) -> bool:
        """True for a step of the run's work, False for a final step."""
        return self.when is When.ON_SUCCESS


@dataclass(frozen=True, kw_only=True, slots=True)
class _DeclaredStep:
    """A declared step, as far as the order of steps is concerned."""

    id: str
    section: Section
    index: int
    needs: tuple[str, ...]
    when: When
    is_included: bool

    @property
    def is_work(self) -> bool:
        return self.when is When.ON_SUCCESS


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
    """What one run may use; the operator's settings decide what it leaves open."""
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
    """Parses one file. Raises TemplateError for the first error in it."""
    entries, included = read_entries(section, scope.folder)
    own = read_parameters(section)
    parameters = own | {name: spec for name, spec in included.items() if name not in own}
    timeout = section.integer("timeout_seconds", 3600)
    overlap, most_days = _period(section, parameters)
    cap = _cap(section)
    scope = replace(scope, parameters=parameters, covers_days=DAY in parameters or _covers_months(section, parameters))
    steps = _steps(section, entries, scope, step_types, timeout)
    description = section.text("description")
    section.finish()
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
        raise section.error(str(error), "parameters") from error
    overlap = Overlap(section.text("overlap", Overlap.ALLOW, among=tuple(Overlap)))
    if overlap is Overlap.REFUSE and not covers_days:
        raise section.error(f"`overlap: refuse` is about days, so it needs the parameter {DAY}", "overlap")
    if overlap is Overlap.REFUSE and DAYS in parameters:
        raise section.error(f"`overlap: refuse` compares days before a run begins, and with {DAYS} they are not known then", "overlap")
    return overlap, section.integer("most_days", MAX_DAYS, most=366)


def _covers_months(section: Section, parameters: Mapping[str, ParameterSpec]) -> bool:
    try:
        types, choices = ({name: getattr(spec, field) for name, spec in parameters.items()} for field in ("type", "choices"))
        covers = months.has_months(types, choices)
    except ValueError as error:
        raise section.error(str(error), "parameters") from error
    if covers and DAY in parameters:
        raise section.error(f"a template runs for days, with {DAY}, or for months, with {months.MONTHS}", "parameters")
    return covers


def _steps(
    template: Section, entries: Sequence[StepEntry], scope: Scope, step_types: Mapping[str, StepType], timeout: int
) -> tuple[TemplateStep, ...]:
    wanted = dict[str, _DeclaredStep]()
    for index, placed in enumerate(entries):
        entry, identity = placed.section, placed.id
        if not SEGMENT.fullmatch(identity):
            raise entry.error(f"the id `{identity}` must be lower-case letters, digits and underscores", "id")
        if identity in wanted:
            raise entry.error(f"the id `{identity}` occurs twice", "id")
        when = When(entry.text("when", When.ON_SUCCESS, among=tuple(When)))
        wanted[identity] = _DeclaredStep(
            id=identity, section=entry, index=index, needs=placed.needs, when=when, is_included=bool(placed.prefix)
        )
    if not wanted:
        raise template.error("a template needs at least one step in `steps`", "steps")
    for one in wanted.values():
        _check_needs(one, wanted)
    needs = {identity: one.needs for identity, one in wanted.items()}
    if round_ := find_cycle(needs):
        raise wanted[round_[0]].section.error(f"steps need each other in a cycle: {' -> '.join(round_)}", "needs")
    steps, producers = dict[str, TemplateStep](), dict[str, str]()
    for identity in topological_order(needs):
        one, earlier = wanted[identity], ancestors(identity, needs)
        # Final steps also run when the steps before them have failed and have no outputs.
        found = {name: kind for other in earlier for name, kind in steps[other].action.OUTPUTS.items()} if one.is_work else {}
        step = _step(one, replace(scope, outputs=found), earlier=earlier, step_types=step_types, timeout=timeout)
        for name in step.action.OUTPUTS:
            if name in producers:
                raise one.section.error(f"it finds out `{name}`, as the step `{producers[name]}` does", "type")
            producers[name] = identity
        steps[identity] = step
    return tuple(steps.values())


def _check_needs(one: "_DeclaredStep", wanted: Mapping[str, "_DeclaredStep"]) -> None:
    for need in one.needs:
        if need not in wanted:
            raise one.section.error(f"it needs `{need}`, which is no step of this template", "needs")
        if one.is_work and not wanted[need].is_work:
            raise one.section.error(f"it needs `{need}`, which runs after all others: it is `when: {wanted[need].when}`", "needs")


def _step(one: _DeclaredStep, scope: Scope, *, earlier: frozenset[str], step_types: Mapping[str, StepType], timeout: int) -> TemplateStep:
    section = one.section
    kind = section.text("type", among=step_types)
    step = TemplateStep(
        id=one.id,
        type=kind,
        index=one.index,
        needs=one.needs,
        ancestors=earlier,
        when=one.when,
        attempts=section.integer("attempts", 1, most=10),
        timeout_seconds=section.integer("timeout_seconds", timeout),
        action=step_types[kind](section, scope),
        is_included=one.is_included,
    )
    section.finish()
    return step
