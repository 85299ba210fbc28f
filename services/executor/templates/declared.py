"""Reads a template's `parameters` as ParameterSpecs."""

from datetime import UTC, date
from functools import partial
from zoneinfo import ZoneInfo

from services.executor.templates.faults import Faults
from services.executor.templates.name import SEGMENT
from services.executor.templates.parameters import ParameterSpec, ParameterType
from services.executor.templates.section import Section
from services.platform.errors import InvalidArgument
from services.platform.time_zones import zone_of

ANY_DAY = date(2000, 1, 2)
"""Any date, to check whether a value such as `yesterday` is accepted."""
CALENDAR = frozenset({ParameterType.DATE, ParameterType.MONTH})


def read_parameters(section: Section, faults: Faults) -> dict[str, ParameterSpec]:
    """By name, in the file's order. Those without a name or a type are left out; all faults are collected in `faults`."""
    entries: dict[str, Section] = faults.attempt(lambda: section.named_sections("parameters", "a parameter"), {})
    read = {name: faults.attempt(partial(_parameter, name, entry, faults), None) for name, entry in entries.items()}
    faults.is_complete &= None not in read.values()
    return {name: spec for name, spec in read.items() if spec}


def _parameter(name: str, section: Section, faults: Faults) -> ParameterSpec:
    if not SEGMENT.fullmatch(name):
        raise section.error(f"the parameter `{name}` must be lower-case letters, digits and underscores")
    kind = ParameterType(section.text("type", among=tuple(ParameterType)))
    known = len(faults.found)
    spec = ParameterSpec(
        name=name,
        type=kind,
        required=faults.attempt(lambda: section.flag("required"), False),  # noqa: FBT003 - in place of a flag
        default=faults.attempt(lambda: _json(section, "default"), None),
        scheduled=faults.attempt(lambda: section.text("scheduled", "") or None, None),
        zone=faults.attempt(lambda: _zone(section, kind), UTC),
        choices=faults.attempt(lambda: _choices(section, kind), ()),
        range=faults.attempt(lambda: _range(section, kind), None),
        description=faults.attempt(lambda: section.text("description", ""), ""),
    )
    faults.attempt(section.finish, None)
    if len(faults.found) == known:
        faults.attempt(lambda: _check_default(spec, section), None)
    return spec


def _check_default(spec: ParameterSpec, section: Section) -> None:
    if spec.required and spec.default is not None:
        raise section.error(f"the parameter {spec.name} is required, so it has no default", "default")
    for key, value in (("default", spec.default), ("scheduled", spec.scheduled)):
        try:
            if value is not None:
                spec.parse(value, today=ANY_DAY)
        except ValueError as error:
            raise section.error(f"the {key} of {spec.name} does not fit: {error}", key) from error


def _json(section: Section, key: str) -> str | int | bool | None:
    value = section.scalar(key)
    if isinstance(value, float):
        raise section.error(f"{key} must be text, a whole number, true or false", key)
    return value


def _zone(section: Section, kind: ParameterType) -> ZoneInfo:
    name = section.text("timezone", "UTC")
    if name != "UTC" and kind not in CALENDAR:
        raise section.error(f"only a {' or a '.join(sorted(CALENDAR))} has a timezone", "timezone")
    try:
        return zone_of(name)
    except InvalidArgument as error:
        raise section.error(error.message, "timezone") from error


def _range(section: Section, kind: ParameterType) -> tuple[int, int] | None:
    if not {"min", "max"} & set(section.keys):
        section.scalar("min"), section.scalar("max")  # marks the keys as known where they are absent
        return None
    if kind is not ParameterType.INTEGER:
        raise section.error("only a parameter of type integer has `min` and `max`", "min" if "min" in section.keys else "max")
    least, most = section.integer("min", least=-(2**53), most=2**53), section.integer("max", least=-(2**53), most=2**53)
    if most < least:
        raise section.error("max must not be less than min", "max")
    return least, most


def _choices(section: Section, kind: ParameterType) -> tuple[str, ...]:
    choices = section.texts("choices")
    if bool(choices) != (kind is ParameterType.CHOICE):
        raise section.error("a parameter of type choice, and no other, lists its `choices`", "choices" if choices else "type")
    if len(set(choices)) < len(choices):
        raise section.error("one of the choices occurs twice", "choices")
    return choices
