"""The columns of a data file by name, and those that nothing was taken of."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from services.executor.errors import StepError
from services.executor.sources.json_text import compact_object, compact_text, embedded


class NamedColumns:
    """The columns of some rows of a file, each taken once, by names that are compared as `key` makes them."""

    def __init__(self, batch: pa.RecordBatch, file: str, key: Callable[[str], str]) -> None:
        """Raises StepError if the same name is there twice."""
        self.rows = batch.num_rows
        self._key, self._file = key, file
        names = batch.schema.names
        if len(set(names)) < len(names):
            double = next(name for name in names if names.count(name) > 1)
            raise StepError(f"{file} has column {double[:100]} twice: it is not known which of them counts.")
        self._left = dict(zip(names, batch.columns, strict=True))
        self._names = dict[str, str]()
        for name in names:  # of two names that differ only in case the first counts
            self._names.setdefault(key(name), name)

    def has(self, name: str) -> bool:
        """True if the file has it."""
        return self._key(name) in self._names

    def take(self, name: str, *, is_kept: bool = False) -> pa.Array | None:
        """The column of this name, None if there is none; unless it is kept, it is not among the others any more."""
        found = self._names.get(self._key(name))
        if found is None:
            return None
        return self._left.get(found) if is_kept else self._left.pop(found, None)

    def take_where(self, renamed: Callable[[str], str | None]) -> dict[str, pa.Array]:
        """Takes all columns that `renamed` gives another name; by that name."""
        wanted = {name: new for name in self._left if (new := renamed(name))}
        taken = dict[str, pa.Array]()
        for name, new in wanted.items():
            if new not in taken:
                taken[new] = self._left.pop(name)
        return taken

    def others(self) -> pa.Array:
        """The columns that were not taken, as a JSON object a row (see `value_json`); NULL for a row without any value."""
        return compact_object({name: value_json(values) for name, values in self._left.items()}, self.rows)


def value_json(values: pa.Array) -> pa.Array:
    """Values as JSON: texts that are JSON objects or lists, as these; what is empty is NULL. Texts come dictionary-encoded: most columns
    have few distinct ones, and each is looked at once.
    """
    if pa.types.is_string(values.type):
        distinct = values.dictionary_encode()
        texts = _without_empty(embedded(distinct.dictionary))
        if texts.null_count == len(texts):
            return pa.nulls(len(values), pa.string())
        return pa.DictionaryArray.from_arrays(distinct.indices, texts)
    return pa.nulls(len(values), pa.string()) if values.null_count == len(values) else _without_empty(compact_text(values))


def dense(texts: pa.Array) -> pa.Array:
    """Texts that are not dictionary-encoded."""
    return texts.dictionary.take(texts.indices) if pa.types.is_dictionary(texts.type) else texts


def _without_empty(texts: pa.Array) -> pa.Array:
    empty = pc.is_in(texts, value_set=_EMPTY)
    return pc.if_else(empty, None, texts) if pc.any(empty).as_py() else texts


_EMPTY = pa.array(['""', "{}", "[]"])
