"""Lets a template include the steps of another template in its folder, so that one run also derives further tables:

    - include: focus
      prefix: focus_
      needs: [extract]
      beside: publish

The prefix is put before the ids of the included steps. Included steps that need no other step get `needs`. The other template's parameters
are included, too, except those that this template declares itself and those for the days of a run. Errors name the file of the step.

With `beside`, the included steps do not wait for this template's step `publish`. Where they read a table that it publishes, they read the
rows that it is going to publish. An included step that publishes does so in the same transaction (`step_reader.Joining`), or else after it;
the steps that follow it come after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from services.executor.templates.declared import read_parameters
from services.executor.templates.faults import Faults
from services.executor.templates.months import MONTH, MONTHS
from services.executor.templates.name import SEGMENT
from services.executor.templates.parameters import ParameterSpec
from services.executor.templates.period import DAY, DAYS, RANGE
from services.executor.templates.section import Section

INCLUDE, BESIDE = "include", "beside"
PUBLISH = "bigquery.publish"
PERIOD_NAMES = frozenset({DAY, *RANGE, DAYS, MONTH, MONTHS})


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """The publish step that included steps do not wait for: they use the rows that it is going to publish."""

    step: str
    """Its id."""
    entry: Section
    """The `include` entry in the template."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepEntry:
    """A step as written in its file, with what the `include` entry adds."""

    section: Section
    prefix: str = ""
    first_needs: tuple[str, ...] = ()
    """The steps that it needs if it needs none of its own file."""
    beside: Beside | None = None

    @property
    def id(self) -> str:
        """Its id in the template that is read."""
        return f"{self.prefix}{self.section.text('id')}"

    @property
    def needs(self) -> tuple[str, ...]:
        """The ids of the steps that it needs."""
        own = self.section.texts("needs")
        needs = tuple(f"{self.prefix}{need}" for need in own) if own else self.first_needs
        return (*needs, self.beside.step) if self.beside and self.is_publish else needs

    @property
    def is_publish(self) -> bool:
        """True for a step that publishes."""
        return self.section.text("type", "") == PUBLISH


def read_entries(section: Section, folder: Path, faults: Faults) -> tuple[list[StepEntry], Mapping[str, ParameterSpec]]:
    """The steps of a template in order, with included steps in their place, and the included parameters. Steps that cannot be read are left
    out; their faults are collected in `faults`.
    """
    entries, parameters = list[StepEntry](), dict[str, ParameterSpec]()
    declared: list[Section] = faults.attempt(lambda: section.sections("steps", "a step"), [])
    for entry in declared:
        if INCLUDE not in entry.keys:
            entries.append(StepEntry(section=entry))
        elif included := faults.attempt(partial(_included, entry, folder, tuple(entries)), None):
            entries += included.steps
            parameters |= included.parameters
        else:
            faults.is_complete = False
    return entries, parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class _Included:
    steps: list[StepEntry]
    parameters: Mapping[str, ParameterSpec]


def _included(entry: Section, folder: Path, before: Sequence[StepEntry]) -> _Included:
    other, faults = _read(entry, folder), Faults()
    prefix, needs = entry.text("prefix"), entry.texts("needs")
    if not SEGMENT.fullmatch(prefix.rstrip("_")):
        raise entry.error(f"the prefix `{prefix}` must be lower-case letters, digits and underscores", "prefix")
    beside = faults.attempt(lambda: _beside(entry, needs, before), None)
    steps = other.sections("steps", "a step")
    for step in steps:
        if INCLUDE in step.keys:
            raise step.error("a template that is included cannot include another", INCLUDE)
    parameters = {name: spec for name, spec in read_parameters(other, faults).items() if name not in PERIOD_NAMES}
    faults.attempt(entry.finish, None)
    faults.raise_all()
    placed = [StepEntry(section=step, prefix=prefix, first_needs=needs, beside=beside) for step in steps]
    return _Included(steps=placed, parameters=parameters)


def _beside(entry: Section, needs: Sequence[str], before: Sequence[StepEntry]) -> Beside | None:
    step = entry.text(BESIDE, "")
    if not step:
        return None
    found = next((one for one in before if one.id == step), None)
    if found is None:
        raise entry.error(f"there is no step `{step}` before this one", BESIDE, may_follow=True)
    if not found.is_publish:
        raise entry.error(f"`{step}` is no step of type {PUBLISH}", BESIDE)
    if step in needs:
        raise entry.error(f"steps beside `{step}` begin before it has ended, and so do not need it", BESIDE)
    return Beside(step=step, entry=entry)


def _read(entry: Section, folder: Path) -> Section:
    name = entry.text(INCLUDE)
    path = folder / f"{name}.yml"
    if not SEGMENT.fullmatch(name) or not path.is_file():
        raise entry.error(f"there is no template {name}.yml beside this one", INCLUDE)
    return Section.read(path, f"{Path(entry.source).parent.as_posix()}/{name}.yml", "a template")
