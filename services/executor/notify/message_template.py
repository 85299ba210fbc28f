"""A template's own words for a message: text with `{names}` for the run's values."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Self

TEXT_LENGTH = 4000
"""Characters of a message; Slack asks for no more than these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageTemplate:
    """Text with gaps."""

    parts: tuple[tuple[str, str | None], ...]
    """Literal text, and the name of the value that follows it, if one does."""

    @classmethod
    def parse(cls, text: str, known: Collection[str]) -> Self:
        """Raises ValueError for a gap that is not a plain name among `known`. A brace is written twice."""
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
    """A value that Slack shows as it is: it can mention nobody and hide no link (Slack, "Formatting text", "Escaping text")."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def one_line(text: str, most: int) -> str:
    """The text as a header can hold it: what breaks lines or does not print becomes a space; cut."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line[:most]
