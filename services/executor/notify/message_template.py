"""A template's text of a message, with `{names}` for the run's values."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Self

TEXT_LENGTH = 4000
"""Maximum characters of a message; Slack's recommended limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageTemplate:
    """Text with placeholders."""

    parts: tuple[tuple[str, str | None], ...]
    """Pairs of literal text and the name of the value that follows it, if any."""

    @classmethod
    def parse(cls, text: str, known: Collection[str]) -> Self:
        """Raises ValueError for a placeholder that is not a plain name among `known`. `{{` is a literal brace."""
        parts = list[tuple[str, str | None]]()
        for literal, name, spec, conversion in Formatter().parse(text):
            if name is not None and (name not in known or spec or conversion):
                raise ValueError(f"{{{name}}} is not known here; use {', '.join(sorted(known))}, or {{{{ for a brace")
            parts.append((literal, name))
        return cls(parts=tuple(parts))

    def fill(self, values: Mapping[str, str], escape: Callable[[str], str] = str) -> str:
        """The text with its values, each through `escape`; cut to TEXT_LENGTH."""
        text = "".join(literal + (escape(values[name]) if name is not None else "") for literal, name in self.parts)
        return text if len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 1] + "…"


def for_slack(value: str) -> str:
    """A value that Slack shows literally: it can neither mention a user nor hide a link (Slack, "Formatting text", "Escaping text")."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def one_line(text: str, most: int) -> str:
    """The text as one header line: line breaks and unprintable characters become spaces; cut to `most` characters."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line[:most]
