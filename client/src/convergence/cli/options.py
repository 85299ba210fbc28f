"""Options and arguments that several commands have, and how their texts are read."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

STDIN = "-"
_MOST_BYTES = 256 * 1024
"""More than any body that the gateway takes."""
_WITHIN = re.compile(r"(\d+)([dhm])", re.ASCII)
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}

Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="The most entries to show; 0: all.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE", help="A template, e.g. gcp/cost/billing.")]
Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help="gcp, aws, azure, slack or webhook.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter: name=text, or name:=JSON for numbers and flags. Repeatable."),
]
BodyFile = Annotated[
    str, typer.Option("--body", metavar="FILE", help="All parameters, from a JSON file; -: from stdin.", show_default=False)
]
IdempotencyKey = Annotated[
    str,
    typer.Option("--idempotency-key", metavar="TEXT", help="The same key starts the same thing once in 24 hours.", show_default=False),
]
Start = Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="The first day.", show_default=False)]
End = Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="The last day, included.", show_default=False)]


class UsageProblem(Exception):
    """The command line is wrong; the text says what, and what to do."""


def read_pipeline(text: str) -> str:
    """`gcp/cost/billing`, if it has this form. Raises UsageProblem."""
    parts = text.strip("/").split("/")
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004 - provider, domain, template
        raise UsageProblem(
            f"{text!r} is no pipeline: write PROVIDER/DOMAIN/TEMPLATE, e.g. gcp/cost/billing (see `convergence templates list`)."
        )
    return "/".join(parts)


def read_parameters(given: list[str] | None, body: str = "") -> dict[str, Any]:
    """The parameters of a run: those of the file `body`, and over them each `name=text` or `name:=JSON`. Raises UsageProblem."""
    found = read_json_object(body) if body else {}
    for one in given or []:
        name, sign, value = one.partition("=")
        if not sign or not name.rstrip(":"):
            raise UsageProblem(f"{one!r} is no parameter: write name=text, or name:=JSON.")
        found[name.rstrip(":")] = _json_value(one, value) if name.endswith(":") else value
    return found


def read_json_object(source: str) -> dict[str, Any]:
    """The JSON object in a file, or in stdin if `source` is `-`. Raises UsageProblem, which never quotes the content: it may be secret."""
    text = read_text(source)
    try:
        found = json.loads(text)
    except ValueError as error:
        place = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise UsageProblem(f"{_named(source)} is no JSON{place}.") from None
    if not isinstance(found, dict):
        raise UsageProblem(f"{_named(source)} holds no JSON object.")
    return found


def read_text(source: str) -> str:
    """A file's text, or all of stdin if `source` is `-`. Raises UsageProblem."""
    try:
        data = sys.stdin.buffer.read(_MOST_BYTES + 1) if source == STDIN else Path(source).read_bytes()
        if len(data) > _MOST_BYTES:
            raise UsageProblem(f"{_named(source)} is larger than the {_MOST_BYTES // 1024} KiB that a request may have.")
        return data.decode()
    except OSError as error:
        raise UsageProblem(f"{source} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageProblem(f"{_named(source)} is no text in UTF-8.") from None


def read_moment(text: str, now: datetime) -> datetime:
    """A moment: RFC 3339 (`2026-12-31T00:00:00Z`), a UTC day (`2026-12-31`), or from `now` on: `90d`, `12h`, `30m`. Raises UsageProblem."""
    if match := _WITHIN.fullmatch(text):
        return now + timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageProblem(f"{text!r} is no time: write 2026-12-31, 2026-12-31T00:00:00Z, or 90d, 12h, 30m from now.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _json_value(one: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        raise UsageProblem(f"{one!r}: what follows := is no JSON. For a text write name=text.") from None


def _named(source: str) -> str:
    return "stdin" if source == STDIN else source
