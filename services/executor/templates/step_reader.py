"""Reads a template's `steps`: first their order, then each step with the names that it may refer to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, runtime_checkable

from services.executor.errors import StepError
from services.executor.staging.table_after import Foreseeable, TableAfter
from services.executor.templates.faults import Faults
from services.executor.templates.graph import When, ancestors, find_cycle, topological_order
from services.executor.templates.include import BESIDE, Beside, StepEntry
from services.executor.templates.name import SEGMENT
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step, StepContext, StepResult, StepType


@runtime_checkable
class Joining(Protocol):
    """A step that can do another step's work together with its own."""

    def joined(self, first: Step) -> Step:
        """A step that does both its own work and that of `first`; itself if this is not possible."""
        ...

    async def run_both(self, first: StepContext, own: StepContext) -> tuple[StepResult, StepResult | StepError | None]:
        """The result of `first`, and this step's result or error; None: this step must still be run. Raises as `run` of `first` does."""
        ...


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
    """The most tries, the first included; only a retryable error is tried again."""
    timeout_seconds: int
    """For each try."""
    action: Step
    is_included: bool = False
    """True: it comes from another template, see `include`."""
    beside: str | None = None
    """The id of the publish whose rows it uses before they are published. If that publish fails, this step's work is useless."""
    joins: str | None = None
    """The id of the step with which it can be done together (`Joining`): a publish with another publish, in one transaction; checks with
    the step that stages their rows, in one script."""

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
    beside: Beside | None

    @property
    def is_work(self) -> bool:
        return self.when is When.ON_SUCCESS


class StepReader:
    """Reads the steps of one template; faults are collected in `faults`."""

    def __init__(self, scope: Scope, step_types: Mapping[str, StepType], faults: Faults, *, timeout: int) -> None:
        """`timeout`: seconds for a step that names none."""
        self._scope, self._step_types, self._faults, self._timeout = scope, step_types, faults, timeout

    def read(self, template: Section, entries: Sequence[StepEntry]) -> tuple[TemplateStep, ...]:
        """The steps in the order in which they can run; some are missing if there are faults."""
        if not entries and self._faults.is_complete:
            self._faults.attempt(partial(_fail, template, "a template needs at least one step in `steps`", "steps"), None)
        declared = self._declared(entries)
        is_complete = self._faults.is_complete and len(declared) == len(entries)
        known = {identity: self._known_needs(one, declared, is_complete=is_complete) for identity, one in declared.items()}
        # If a step's needs could not be read completely, it may refer to outputs that are unknown here.
        unsure = {identity for identity, needs in known.items() if needs != declared[identity].needs}
        while round_ := find_cycle(known):
            message = f"steps need each other in a cycle: {' -> '.join(round_)}"
            self._faults.attempt(partial(_fail, declared[round_[0]].section, message, "needs"), None)
            known |= dict.fromkeys(round_, ())
            unsure |= set(round_)
        return self._steps(declared, known, unsure if is_complete else set(declared))

    def _declared(self, entries: Sequence[StepEntry]) -> dict[str, _DeclaredStep]:
        found = dict[str, _DeclaredStep]()
        for index, placed in enumerate(entries):
            if one := self._faults.attempt(partial(_declared_step, placed, index, found), None):
                found[one.id] = one
        return found

    def _known_needs(self, one: _DeclaredStep, declared: Mapping[str, _DeclaredStep], *, is_complete: bool) -> tuple[str, ...]:
        known = list[str]()
        for need in one.needs:
            if self._faults.attempt(partial(_check_need, one, need, declared), False, is_complete=is_complete):  # noqa: FBT003 - instead
                known.append(need)
        return tuple(known)

    def _steps(
        self, declared: Mapping[str, _DeclaredStep], needs: Mapping[str, tuple[str, ...]], unsure: set[str]
    ) -> tuple[TemplateStep, ...]:
        steps, producers = dict[str, TemplateStep](), dict[str, str]()
        for identity in topological_order(needs):
            one, earlier = declared[identity], ancestors(identity, needs)
            # Final steps also run when the steps before them have failed and have no outputs.
            outputs = {name: kind for other in earlier & steps.keys() for name, kind in steps[other].action.OUTPUTS.items()}
            scope = replace(self._scope, outputs=outputs if one.is_work else {})
            is_complete = not unsure & {identity, *earlier}
            if beside := _works_beside(one, earlier):
                after = self._faults.attempt(partial(_tables_after, beside, steps), (), is_complete=beside.step not in unsure)
                scope = replace(scope, tables_after=after)
            faulty = len(self._faults.found)
            step = self._faults.attempt(partial(self._step, one, scope, earlier), None, is_complete=is_complete)
            if step is None or len(self._faults.found) > faulty:
                unsure.add(identity)
            if step is None:
                continue
            for name in step.action.OUTPUTS:
                if name in producers:
                    message = f"it finds out `{name}`, as the step `{producers[name]}` does"
                    self._faults.attempt(partial(_fail, one.section, message, "type"), None)
                producers[name] = identity
            steps[identity] = _joined(step, one.beside, steps)
        return tuple(steps.values())

    def _step(self, one: _DeclaredStep, scope: Scope, earlier: frozenset[str]) -> TemplateStep:
        """Raises TemplateError with all its faults."""
        section, faults = one.section, Faults()
        kind = section.text("type", among=self._step_types)
        attempts = faults.attempt(lambda: section.integer("attempts", 1, most=10), 1)
        timeout = faults.attempt(lambda: section.integer("timeout_seconds", self._timeout), self._timeout)
        action = faults.attempt(lambda: self._step_types[kind](section, scope), None)
        if action is not None:  # else keys of it have not been read
            faults.attempt(section.finish, None)
        faults.raise_all()
        if action is None:
            raise TypeError("a step type returned None")
        return TemplateStep(
            id=one.id,
            type=kind,
            index=one.index,
            needs=one.needs,
            ancestors=earlier,
            when=one.when,
            attempts=attempts,
            timeout_seconds=timeout,
            action=action,
            is_included=one.is_included,
            beside=beside.step if (beside := _works_beside(one, earlier)) else None,
        )


def _fail(section: Section, message: str, at: str) -> None:
    raise section.error(message, at)


def _declared_step(placed: StepEntry, index: int, before: Mapping[str, _DeclaredStep]) -> _DeclaredStep:
    entry, identity = placed.section, placed.id
    if not SEGMENT.fullmatch(identity):
        raise entry.error(f"the id `{identity}` must be lower-case letters, digits and underscores", "id")
    if identity in before:
        raise entry.error(f"the id `{identity}` occurs twice", "id")
    when = When(entry.text("when", When.ON_SUCCESS, among=tuple(When)))
    return _DeclaredStep(
        id=identity,
        section=entry,
        index=index,
        needs=placed.needs,
        when=when,
        is_included=bool(placed.prefix),
        beside=placed.beside,
    )


def _works_beside(one: _DeclaredStep, earlier: frozenset[str]) -> Beside | None:
    """The publish that it does not wait for; None if that publish ends before the step begins."""
    return one.beside if one.is_work and one.beside and one.beside.step not in earlier else None


def _tables_after(beside: Beside, steps: Mapping[str, TemplateStep]) -> tuple[TableAfter, ...]:
    publish = steps.get(beside.step)
    after = publish.action.tables_after if publish and isinstance(publish.action, Foreseeable) else ()
    if not after:
        rule = "steps can only work beside a publish of all rows of its days, with `ledger: {source, service}`"
        raise beside.entry.error(f"{rule}, and `{beside.step}` is none", BESIDE, may_follow=publish is None)
    return after


def _joined(step: TemplateStep, beside: Beside | None, steps: Mapping[str, TemplateStep]) -> TemplateStep:
    """The step, joined if possible with the publish whose rows it uses, or with a step that it needs. That step then waits for everything
    else that this step needs, so nothing of that may need it.
    """
    if not step.is_work or not isinstance(step.action, Joining):
        return step
    needed = [need for need in step.needs if not any(need in steps[other].ancestors for other in step.needs if other in steps)]
    for first in (steps[one] for one in ([beside.step] if beside else []) + needed if one in steps):
        if first.is_work and (action := step.action.joined(first.action)) is not step.action:
            return replace(step, action=action, joins=first.id)
    return step


def _check_need(one: _DeclaredStep, need: str, declared: Mapping[str, _DeclaredStep]) -> bool:
    if need not in declared:
        raise one.section.error(f"it needs `{need}`, which is no step of this template", "needs", may_follow=True)
    if one.is_work and not declared[need].is_work:
        raise one.section.error(f"it needs `{need}`, which runs after all others: it is `when: {declared[need].when}`", "needs")
    return True
