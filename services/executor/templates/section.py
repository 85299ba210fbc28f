"""YAML with positions, so that an error in a template is reported with file, line and column."""

import math
from collections.abc import Collection
from pathlib import Path
from typing import Self

import yaml
from yaml.constructor import SafeConstructor

from services.executor.templates.faults import Fault, TemplateError

type Scalar = str | int | float | bool | None

# libyaml reads a template in a tenth of the time; PyYAML has it on all common machines.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Section:
    """A mapping of a YAML file, read strictly: keys not read before `finish()` raise TemplateError."""

    def __init__(self, node: yaml.Node, source: str, what: str) -> None:
        """`what` describes it in messages, e.g. `a step`. Raises TemplateError if the node is no mapping, or has a key twice."""
        self.source, self._node, self._what = source, node, what
        if not isinstance(node, yaml.MappingNode):
            raise self.error(f"{what} must be a mapping", node)
        self._nodes: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(f"{what} has a key that is no text", key)
            if key.value in self._nodes:
                raise self.error(f"{key.value} occurs twice", key)
            self._nodes[key.value] = value
        self._key_nodes = {key.value: key for key, _ in node.value}
        self._asked: set[str] = set()

    @classmethod
    def read(cls, path: Path, source: str, what: str) -> Self:
        """The file's one mapping. Raises TemplateError for invalid YAML."""
        try:
            node = yaml.compose(path.read_text(encoding="utf-8"), Loader=LOADER)
        except yaml.MarkedYAMLError as error:
            raise TemplateError(_fault(source, error.problem or "this is not YAML", error.problem_mark)) from error
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise TemplateError(_fault(source, "this is not YAML that can be read")) from error
        if node is None:
            raise TemplateError(_fault(source, "the file is empty"))
        return cls(node, source, what)

    def error(self, message: str, at: yaml.Node | str | None = None, *, may_follow: bool = False) -> TemplateError:
        """A TemplateError at the value of the key `at`, else at the section. `may_follow`: see Fault."""
        node = self._nodes.get(at) if isinstance(at, str) else at
        return TemplateError(_fault(self.source, message, (node or self._node).start_mark, may_follow=may_follow))

    def scalar(self, key: str, default: Scalar = None) -> Scalar:
        """The value as YAML parses it; `default` if the key is absent. Raises TemplateError for a list or a mapping."""
        node = self._ask(key)
        if node is None:
            return default
        try:
            value: object = SafeConstructor().construct_object(node)
        except Exception:  # noqa: BLE001 - PyYAML raises errors of any type, e.g. for `!!int ""`
            value = node
        if isinstance(node, yaml.ScalarNode) and not isinstance(value, str | int | float | bool | None):
            return str(node.value)  # a date: YAML would parse it, but templates use its text
        if not isinstance(value, str | int | float | bool | None):
            raise self.error(f"{key} must be a single value", node)
        return value

    def text(self, key: str, default: str | None = None, *, among: Collection[str] = ()) -> str:
        """A string. Raises TemplateError if it is absent without a `default`, or not `among` the allowed ones."""
        value = self.scalar(key, default)
        if value is None:
            raise self.error(f"{self._what} needs `{key}`")
        if not isinstance(value, str):
            raise self.error(f"{key} must be text", key)
        if among and value not in among:
            raise self.error(f"{key} is `{value}`, but must be one of {', '.join(sorted(among))}", key)
        return value

    def integer(self, key: str, default: int | None = None, *, least: int = 1, most: int = 86_400) -> int:
        """An integer between `least` and `most`. Raises TemplateError otherwise."""
        value = self.scalar(key, default)
        if value is None:
            raise self.error(f"{self._what} needs `{key}`")
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.error(f"{key} must be a whole number from {least} to {most}", key)
        return value

    def number(self, key: str, default: float) -> float:
        """A number, 0 or more. Raises TemplateError otherwise."""
        value = self.scalar(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise self.error(f"{key} must be a number, 0 or more", key)
        return float(value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or False. Raises TemplateError otherwise."""
        value = self.scalar(key, default)
        if not isinstance(value, bool):
            raise self.error(f"{key} must be true or false", key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty if the key is absent."""
        entries = self._sequence(key)
        for entry in entries:
            if not isinstance(entry, yaml.ScalarNode):
                raise self.error(f"{key} must be a list of texts", entry)
        return tuple(str(entry.value) for entry in entries)

    def sections(self, key: str, what: str) -> list[Self]:
        """A list of mappings; empty if the key is absent."""
        return [type(self)(entry, self.source, what) for entry in self._sequence(key)]

    def named_sections(self, key: str, what: str) -> dict[str, Self]:
        """A mapping of names to mappings; empty if the key is absent."""
        node = self._ask(key)
        if node is None:
            return {}
        outer = type(self)(node, self.source, key)
        return {name: outer.section(name, what) for name in outer.keys}

    def section(self, key: str, what: str) -> Self:
        """The mapping at `key`. Raises TemplateError if it is absent."""
        node = self._ask(key)
        if node is None:
            raise self.error(f"{self._what} needs `{key}`")
        return type(self)(node, self.source, what)

    def section_or_none(self, key: str, what: str) -> Self | None:
        """The mapping at `key`; None if it is absent."""
        return None if self._ask(key) is None else self.section(key, what)

    @property
    def keys(self) -> list[str]:
        """In the file's order."""
        return list(self._nodes)

    def finish(self) -> None:
        """Raises TemplateError, naming all keys that were not read."""
        unread = [(key, node) for key, node in self._key_nodes.items() if key not in self._asked]
        if unread:
            raise TemplateError(*(fault for key, node in unread for fault in self.error(f"{self._what} has no `{key}`", node).faults))

    def _ask(self, key: str) -> yaml.Node | None:
        self._asked.add(key)
        return self._nodes.get(key)

    def _sequence(self, key: str) -> list[yaml.Node]:
        node = self._ask(key)
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(f"{key} must be a list", node)
        return list(node.value)


def _fault(source: str, message: str, mark: yaml.Mark | None = None, *, may_follow: bool = False) -> Fault:
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Fault(source=source, line=line, column=column, message=message, may_follow=may_follow)
