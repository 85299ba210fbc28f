"""Settings as a process reads them from its environment. What is wrong is said by the names of the variables, never with their values:
these may be secrets.
"""

import json
import os
import re
import sys
import types
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args, override

from pydantic import ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from services.platform.environment.values import check_number
from services.platform.environment.wording import NotJson, example, what_is_wrong

_environment: ContextVar[Mapping[str, str]] = ContextVar("environment")
VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")


class PlainEnvironment(EnvSettingsSource):
    """Leaves a text as it is that should be JSON and is not: it is refused like any other wrong value then, with the name of its field."""

    @override
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except json.JSONDecodeError as error:
            return NotJson.of(str(value), f"{error.msg} at character {error.pos + 1}")
        except (ValueError, RecursionError):
            return NotJson.of(str(value), "it is too deep, or has a number that is too long")


class EnvironmentSettings(BaseSettings):
    """Settings that are read from the environment or given as keywords, and nowhere else. Every number is finite, and one that its name can
    mean.
    """

    model_config = SettingsConfigDict(allow_inf_nan=False)

    @classmethod
    @override
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: object, **__: object
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, PlainEnvironment(settings_cls)

    @field_validator("*", mode="before")
    @classmethod
    def _no_path_is_empty(cls, value: object, info: ValidationInfo) -> object:
        # `Path("")` is the working directory, which nothing of ours is meant for.
        if value == "" and info.field_name and Path in _kinds(cls.model_fields[info.field_name].annotation):
            raise ValueError("it is empty: give a path, or leave it out for its default")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _numbers_can_be_meant(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool) and info.field_name:
            check_number(info.field_name, value)
        return value


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) or (annotation,)


def read[Settings: BaseSettings](kind: type[Settings], **given: Any) -> Settings:
    """The settings of this process; `given` go before its environment. Ends it with status 2 and a line for each variable that is wrong."""
    try:
        return kind(**given)
    except ValidationError as error:
        wrong = wrong_in(kind, os.environ, given=given) or problems(kind, error)
        sys.stderr.write("".join(f"This process does not start: {one}\n" for one in wrong))
        raise SystemExit(2) from None


def wrong_in(kind: type[BaseSettings], environment: Mapping[str, str], *, given: Mapping[str, Any] | None = None) -> list[str]:
    """What is wrong with the settings of a process that would have this environment, a line for each variable. Pure.

    A rule about several settings is applied only where each of them is possible. So what is wrong is taken away, and the others are looked
    at again: all lines are there at once.
    """
    found, left, wrong = list[str](), {name.upper(): value for name, value in environment.items()}, set[str]()
    while lines := _first_wrong(kind, left, {name: value for name, value in (given or {}).items() if _name(kind, name) not in wrong}):
        # A rule that misses a setting which was taken away says nothing of the environment.
        found += [line for line in lines if wrong.isdisjoint(named_in(kind, line))]
        more = {name for line in lines for name in named_in(kind, line)} - wrong
        if not more:
            break
        wrong |= more
        left = {name: value for name, value in left.items() if name not in wrong}
    return found


def from_environment[Settings: BaseSettings](kind: type[Settings], environment: Mapping[str, str], **given: Any) -> Settings:
    """The settings of a process that would have this environment, and not this process's own. Raises ValidationError."""
    before = _environment.set({name.lower(): value for name, value in environment.items()})
    try:
        settings: Settings = _elsewhere(kind)(**given)
    finally:
        _environment.reset(before)
    return settings


@cache
def _elsewhere[Settings: BaseSettings](kind: type[Settings]) -> type[Settings]:
    """The same settings, read from `_environment`. Making the class takes longer than reading it."""

    def sources(_: Any, settings: Any, /, **known: PydanticBaseSettingsSource) -> tuple[PydanticBaseSettingsSource, ...]:
        source = PlainEnvironment(settings)
        source.env_vars = _environment.get()
        return known["init_settings"], source

    def body(names: dict[str, Any]) -> None:
        names["settings_customise_sources"] = classmethod(sources)
        names["__module__"] = kind.__module__

    return types.new_class(kind.__name__, (kind,), exec_body=body)


def _first_wrong(kind: type[BaseSettings], environment: Mapping[str, str], given: Mapping[str, Any]) -> list[str]:
    try:
        from_environment(kind, environment, **given)
    except ValidationError as error:
        return problems(kind, error)
    return []


def variables(*kinds: type[BaseSettings]) -> frozenset[str]:
    """All environment variables that these settings are read from."""
    return frozenset(_name(kind, name) for kind in kinds for name in kind.model_fields)


def named_in(kind: type[BaseSettings], line: str) -> frozenset[str]:
    """The variables of these settings before and within the cause of a line of `problems`."""
    cause = line.partition(" E.g. ")[0].partition(" It is JSON, e.g. ")[0]
    return variables(kind).intersection(VARIABLE.findall(cause))


def problems(kind: type[BaseSettings], error: ValidationError) -> list[str]:
    """What is wrong, a line for each variable; it begins with the variable, or those that do not fit together. Pure."""
    return list(dict.fromkeys(_line(kind, one) for one in error.errors(include_url=False)))


def _line(kind: type[BaseSettings], error: Mapping[str, Any]) -> str:
    if not error["loc"]:
        return f"{what_is_wrong(error)}."
    field = _field(kind, str(error["loc"][0]))
    name, text = variable(kind, error["loc"]), what_is_wrong(error)
    return f"{name}: {text}.{example(field, name, kind.model_fields.get(field), text)}"


def variable(kind: type[BaseSettings], place: tuple[int | str, ...]) -> str:
    """The environment variable of what is wrong: of a field, by its name or its variable, or of a part of it."""
    return _name(kind, _field(kind, str(place[0])))


def _field(kind: type[BaseSettings], name: str) -> str:
    return next((field for field in kind.model_fields if name in {field, _name(kind, field)}), name)


def _name(kind: type[BaseSettings], field: str) -> str:
    alias = kind.model_fields[field].validation_alias if field in kind.model_fields else None
    return alias if isinstance(alias, str) else f"{kind.model_config.get('env_prefix', '')}{field}".upper()
