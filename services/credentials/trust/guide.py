"""What all clouds' guides have: files and commands, safe to paste into a shell, with placeholders for what is not known yet."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.platform.errors import InvalidArgument


@dataclass(frozen=True, kw_only=True, slots=True)
class Trusted:
    """Whom the tenant's cloud is to trust."""

    issuer: str
    """The URL, without a slash at its end."""
    subject: str
    """The tenant's id."""

    @property
    def issuer_path(self) -> str:
        """The issuer without its scheme, as AWS names providers and condition keys."""
        return self.issuer.partition("://")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class GuideFile:
    """A file that commands read."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GuideCommand:
    """A command for a POSIX shell, in one line."""

    purpose: str
    line: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustGuide:
    """What to set up, in this order."""

    audience: str
    files: tuple[GuideFile, ...] = ()
    commands: tuple[GuideCommand, ...]
    credentials: Mapping[str, str]
    """What to store afterwards."""
    placeholders: tuple[str, ...]
    """Words in capitals that the tenant replaces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuideField:
    """A fact that the caller may give."""

    pattern: re.Pattern[str]
    """The whole value must match."""
    takes: str
    """Completes "must be ..."."""


def checked(values: Mapping[str, str], fields: Mapping[str, GuideField], provider: str) -> dict[str, str]:
    """The values that are given; an empty one counts as not given. Raises InvalidArgument for one that the provider does not have, or of
    another form.
    """
    given = {name: value for name, value in values.items() if value}
    for name, value in given.items():
        if name not in fields:
            raise InvalidArgument(name, f"is no field of {provider}. It takes {', '.join(fields)}.")
        if not fields[name].pattern.fullmatch(value):
            raise InvalidArgument(name, f"must be {fields[name].takes}.")
    return given


def command(purpose: str, *words: str) -> GuideCommand:
    """Each word is quoted if a shell could read it as more than a word."""
    return GuideCommand(purpose=purpose, line=shlex.join(words))


def json_file(name: str, content: object) -> GuideFile:
    """A file of JSON, for people to read."""
    return GuideFile(name=name, text=f"{json.dumps(content, indent=2)}\n")


def body(provider: str, credentials: Mapping[str, str]) -> dict[str, Any]:
    """What to POST to .../credentials."""
    return {"provider": provider, "credentials": dict(credentials)}
