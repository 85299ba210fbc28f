"""Columns of an export, and fields of its STRUCTs, that no staging column takes. They are kept as JSON, under the export's names."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from services.executor.sources.json_text import compact_object, compact_text

type Known = Mapping[str, Known] | frozenset[str] | None
"""The part of a column that is taken, by lower-case names: these fields of a STRUCT or of a list's entries; None: all of it."""


def known_columns(fields: Iterable[pa.Field], taken: Mapping[str, frozenset[str] | None]) -> Mapping[str, Known]:
    """What is taken of an export by these columns of a staging table and by those computed from its lists. `taken`: the lists' paths, with
    the fields of their entries that are kept (None: all).
    """
    known: dict[str, Any] = {field.name.lower(): _parts(field.type) for field in fields}
    for path, keeps in taken.items():
        *above, last = path.split(".")
        inner = known
        for name in above:
            inner = inner.setdefault(name, {})
        inner[last] = keeps
    return known


def other_columns(found: Mapping[str, pa.Array], known: Mapping[str, Known], rows: int) -> pa.Array:
    """The columns of `found` without the `known` parts, as a JSON object a row; NULL for a row without any. Known parts, and columns with
    only NULLs, cost nothing.
    """
    texts = dict[str, pa.Array]()
    for name, values in found.items():
        taken = known.get(name.lower(), frozenset())
        if isinstance(taken, Mapping):
            parts = {field.name: place for place, field in enumerate(values.type) if taken.get(field.name.lower(), taken) is not None}
            texts[name] = other_columns({part: pc.struct_field(values, [place]) for part, place in parts.items()}, taken, rows)
        elif name.lower() not in known or (taken and _says_more(values, taken)):
            texts[name] = compact_text(values)
    return compact_object(texts, rows)


def _says_more(lists: pa.Array, kept: frozenset[str]) -> bool:
    entries = pc.list_flatten(lists)
    more = [place for place, field in enumerate(entries.type) if field.name.lower() not in kept]
    return any(pc.struct_field(entries, [place]).null_count < len(entries) for place in more)


def _parts(kind: pa.DataType) -> Known:
    return {field.name.lower(): _parts(field.type) for field in kind} if pa.types.is_struct(kind) else None
