"""A block with its values as a query: Python values to typed query parameters, by the GoogleSQL type that the block declares."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from google.cloud.bigquery import ArrayQueryParameter, QueryJobConfig, ScalarQueryParameter, StructQueryParameter
from google.cloud.bigquery.query import ScalarQueryParameterType, StructQueryParameterType

from services.platform.bigquery.sql import Block
from services.platform.tracing.bigquery import trace_label

type Parameter = ArrayQueryParameter | ScalarQueryParameter | StructQueryParameter

_WRAPPED = re.compile(r"(ARRAY|STRUCT)<(.*)>", re.DOTALL)

AGAIN = "is_again"
"""A BOOL parameter of a block, from which a job that follows another one of the same call learns that it does."""


def query_config(block: Block, params: Mapping[str, object], dataset: str, labels: Mapping[str, str]) -> QueryJobConfig:
    """The configuration of a job for the block in `dataset` (`project.dataset`). Raises TypeError for a value that it declares no parameter
    for.
    """
    if unknown := params.keys() - block.params.keys():
        raise TypeError(f"block {block.name} declares no parameter {sorted(unknown)}")
    return QueryJobConfig(
        default_dataset=dataset,
        query_parameters=_parameters(block, params),
        labels={**labels, "statement": block.name, **trace_label()},
    )


def note_again(config: QueryJobConfig, block: Block, params: Mapping[str, object], *, is_again: bool) -> None:
    """Sets the parameter `AGAIN` of a job of the block that follows another one, if the block declares it."""
    if is_again and AGAIN in block.params:
        # From the values, not from the configuration, of which Google's library reads no empty array of structs.
        config.query_parameters = _parameters(block, {**params, AGAIN: True})


def _parameters(block: Block, params: Mapping[str, object]) -> list[Parameter]:
    return [to_parameter(name, kind, params[name]) for name, kind in block.params.items()]


def to_parameter(name: str | None, kind: str, value: Any) -> Parameter:
    """`value` as a query parameter of GoogleSQL type `kind`, e.g. `ARRAY<STRUCT<tenant_id STRING, seq INT64>>` for a list of mappings.

    A JSON parameter takes the Python value, not JSON text. Raises TypeError if value and type do not fit.
    """
    match = _WRAPPED.fullmatch(kind.strip())
    if match is None:
        return ScalarQueryParameter(name, kind.strip(), value)
    if match[1] == "STRUCT":
        if not isinstance(value, Mapping):
            raise TypeError(f"@{name}: {kind} wants a mapping")
        fields = struct_fields(match[2])
        return StructQueryParameter(name, *[to_parameter(field, of, value[field]) for field, of in fields.items()])
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise TypeError(f"@{name}: {kind} wants a sequence")
    inner = match[2].strip()
    if inner.startswith("STRUCT"):
        fields = struct_fields(inner.removeprefix("STRUCT<").removesuffix(">"))
        of = StructQueryParameterType(*[ScalarQueryParameterType(kind, name=field) for field, kind in fields.items()])  # type: ignore[no-untyped-call]
        return ArrayQueryParameter(name, of, [to_parameter(None, inner, entry) for entry in value])
    return ArrayQueryParameter(name, inner, list(value))


def struct_fields(inside: str) -> dict[str, str]:
    """`a STRING, b ARRAY<STRING>` as a mapping of names to types, in order."""
    fields, depth, start = list[str](), 0, 0
    for position, char in enumerate(inside):
        depth += {"<": 1, ">": -1}.get(char, 0)
        if char == "," and depth == 0:
            fields.append(inside[start:position])
            start = position + 1
    fields.append(inside[start:])
    pairs = (field.strip().split(None, 1) for field in fields)
    return {name: kind.strip() for name, kind in pairs}
