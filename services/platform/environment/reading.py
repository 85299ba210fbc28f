"""Settings as a process reads them from its environment. What is wrong is said by the names of the variables, never with their values:
these may be secrets.
"""

import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args, override

from pydantic import ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from services.platform.environment.values import check_number

EXAMPLES: Final[Mapping[str, str]] = {
    "admin_keys": '[{"role": "scheduler", "sha256": "..."}]',
    "dataset_owners": '["credentials@P.iam.gserviceaccount.com"]',
    "dataset_writers": '["executor@P.iam.gserviceaccount.com"]',
    "notify_ports": "[443]",
    "notify_refused_networks": '["203.0.113.0/24"]',
    "oidc": '[{"issuer": "https://accounts.google.com", "audience": "https://api.example.com",'
    ' "rules": [{"role": "scheduler", "email": "jobs@P.iam.gserviceaccount.com"}]}]',
    "otlp_headers": '{"authorization": "Bearer ..."}',
    "own_resources": '["my-project"]',
    "plan_defaults": '{"max_schedules": 500}',
    "reserved_tenant_ids": '["internal"]',
    "tenant_locations": '{"EU": "projects/P/locations/europe/keyRings/R/cryptoKeys/K"}',
    "token_secrets": '["..."]',
}
"""Of each setting that is JSON: a value as the variable has it."""


class PlainEnvironment(EnvSettingsSource):
    """Leaves a text as it is that should be JSON and is not: it is refused like any other wrong value then, with the name of its field."""

    @override
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


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
        sys.stderr.write("".join(f"This process does not start: {one}\n" for one in problems(kind, error)))
        raise SystemExit(2) from None


def wrong_in(kind: type[BaseSettings], environment: Mapping[str, str]) -> list[str]:
    """What is wrong with the settings of a process that would have this environment, a line for each variable. Pure."""

    def sources(settings: Any, /, *_: object, **__: object) -> tuple[PydanticBaseSettingsSource, ...]:
        source = PlainEnvironment(settings)
        source.env_vars = {name.lower(): value for name, value in environment.items()}
        return (source,)

    def body(names: dict[str, Any]) -> None:
        names["settings_customise_sources"] = classmethod(sources)
        names["__module__"] = kind.__module__

    like_it: type[BaseSettings] = types.new_class(kind.__name__, (kind,), exec_body=body)
    try:
        like_it()
    except ValidationError as error:
        return problems(kind, error)
    return []


def variables(*kinds: type[BaseSettings]) -> frozenset[str]:
    """All environment variables that these settings are read from."""
    return frozenset(_name(kind, name) for kind in kinds for name in kind.model_fields)


def problems(kind: type[BaseSettings], error: ValidationError) -> list[str]:
    """What is wrong, a line for each variable. Pure."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return list(dict.fromkeys(f"{variable(kind, one['loc'])}: {_plain(one['msg'])}.{_example(kind, one['loc'])}" for one in found))


def variable(kind: type[BaseSettings], place: tuple[int | str, ...]) -> str:
    """The environment variable of what is wrong: of a field, by its name or its variable, or of a part of it."""
    name = str(place[0]) if place else "the settings together"
    return name if name.isupper() or not place else _name(kind, name)


def _name(kind: type[BaseSettings], field: str) -> str:
    alias = kind.model_fields[field].validation_alias if field in kind.model_fields else None
    return alias if isinstance(alias, str) else f"{kind.model_config.get('env_prefix', '')}{field}".upper()


def _plain(message: str) -> str:
    return message.rstrip(".").replace("a valid tuple", "a list").replace("a valid dictionary", "an object")


def _example(kind: type[BaseSettings], place: tuple[int | str, ...]) -> str:
    example = EXAMPLES.get(str(place[0])) if place else None
    return f" It is JSON, e.g. {variable(kind, place)}='{example}'" if example else ""
