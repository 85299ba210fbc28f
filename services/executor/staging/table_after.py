"""A table as the run's own publish will leave it. A step that runs concurrently with this publish reads it: in the step's SQL a subquery
takes the table's place.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from services.platform.bigquery.sql import Block, make_block

_TEXT = r"""--[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*\""""
"""Comments and literals."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableAfter:
    """The rows that a table will hold of the run's days."""

    name: str
    query: str
    """A SELECT."""
    params: Mapping[str, str]
    """The query parameters that it needs, name to GoogleSQL type."""
    of_whole_days: str | None = None
    """A SELECT for a run that has read all of its days as a whole, so that no row stays; None: `query` is used for it, too."""

    def whole(self) -> "TableAfter":
        """For such a run."""
        return replace(self, query=self.of_whole_days or self.query)


def reads_whole_days(outputs: Mapping[str, object]) -> bool:
    """True if the run has read each of its days as a whole, by the outputs of the step that has read them."""
    reads = outputs.get("day_reads")
    return isinstance(reads, Sequence) and not any(read["since"] for read in reads)


@runtime_checkable
class Foreseeable(Protocol):
    """A step that publishes, beside which others can work."""

    @property
    def tables_after(self) -> tuple[TableAfter, ...]:
        """What tables will hold once it has published; empty if that cannot be said beforehand."""
        ...


def read_after(block: Block, tables: Iterable[TableAfter]) -> Block:
    """The block with each of these tables replaced by its subquery. Raises ValueError if a table is named in any other way than
    `FROM table AS alias`, or if the block and a subquery need parameters of one name and two types.
    """
    sql, params = block.sql, dict(block.params)
    for table in tables:
        with_it = _replaced(sql, table, is_written=table.name in block.written)
        if with_it == sql:
            continue
        sql = with_it
        for name, kind in table.params.items():
            if params.setdefault(name, kind) != kind:
                raise ValueError(f"block {block.name} declares @{name} {params[name]}, which is {kind} in {table.name}")
    return make_block(block.name, sql, params, block.line) if sql != block.sql else block


def _replaced(sql: str, table: TableAfter, *, is_written: bool) -> str:
    def subquery(match: re.Match[str]) -> str:
        if match["other"] or is_written:
            raise ValueError(f"{table.name} is read here as it will be, so SQL can only name it in `FROM {table.name} AS alias`")
        return f"{match['read']}(\n{table.query}\n)" if match["read"] else match[0]

    if table.name.lower() not in sql.lower():
        return sql
    name = rf"\b{table.name}\b"
    return re.sub(rf"(?P<read>\b(?:FROM|JOIN)\s+){name}(?=\s+AS\s)|(?P<other>{name})|{_TEXT}", subquery, sql, flags=re.IGNORECASE)
