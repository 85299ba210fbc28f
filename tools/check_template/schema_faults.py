"""Faults that the schema for editors finds, each at its place in the file."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

import jsonschema
import yaml

from services.executor.templates.faults import Fault
from services.platform.settings import REPOSITORY

SCHEMA = REPOSITORY / "configs" / "template.schema.json"
TYPE = "type"


def schema_faults(node: yaml.MappingNode, source: str) -> Iterator[Fault]:
    """What `configs/template.schema.json` refuses of the file's content."""
    schema: dict[str, Any] = json.loads(SCHEMA.read_text())
    content = yaml.SafeLoader.construct_document(yaml.SafeLoader(""), node)
    errors = list(jsonschema.Draft7Validator(schema).iter_errors(json.loads(json.dumps(content, default=str))))
    # Without its type a step is held against the rules of all types.
    untyped = [list(error.absolute_path) for error in errors if error.validator == "required" and TYPE not in error.instance]
    for error in errors:
        if list(error.absolute_path) in untyped and error.validator != "required":
            continue
        for at, message in _worded(error):
            mark = _find(node, at).start_mark
            yield Fault(source=source, line=mark.line + 1, column=mark.column + 1, message=message)


def _worded(error: jsonschema.ValidationError) -> Iterator[tuple[list[str | int], str]]:
    """Where, as the path of a key or a value, and what to do."""
    path, instance, rule = list(error.absolute_path), cast("Any", error.instance), cast("Any", error.validator_value)
    match error.validator:
        case "required":
            yield path, f"`{error.message.split("'")[1]}` is missing here"
        case "additionalProperties" if isinstance(error.schema, dict):
            known = error.schema.get("properties", {})
            for key in (key for key in instance if key not in known):
                yield [*path, _Key(key)], f"`{key}` is no key here; use one of {', '.join(sorted(known))}"
        case "enum":
            yield path, f"use one of {', '.join(str(value) for value in rule)}"
        case "type":
            yield path, f"use a value of type {rule}"
        case "oneOf":
            yield path, f"use exactly one of {_alternatives(rule)}"
        case _:
            yield path, error.message


def _alternatives(schemas: Iterable[Any]) -> str:
    return " and ".join(f"`{'`, `'.join(one['required'])}`" for one in schemas if "required" in one) or "the allowed forms"


class _Key(str):
    """Stands in a path for a key itself, not for its value."""

    __slots__ = ()


def _find(node: yaml.Node, path: list[str | int]) -> yaml.Node:
    for step in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            pairs = {str(key.value): (key, value) for key, value in node.value}
            key, value = pairs[str(step)]
            node = key if isinstance(step, _Key) else value
    return node
