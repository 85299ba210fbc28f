"""Checks one block: its parameters, our rules, and every statement in it, its correlated subqueries included."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from zetasql.core.exceptions import ServerError
from zetasql.types import ResolvedQueryStmt, Type

from services.platform.bigquery.ddl import Table, View
from services.platform.bigquery.sql import Block
from tools.check_sql.analysis import Analyzed, Tables
from tools.check_sql.correlation import IN_MERGE, not_a_join
from tools.check_sql.language import options, type_of
from tools.check_sql.problem import Problem
from tools.check_sql.rules import broken_rules
from tools.check_sql.script import Piece, parameters, parse, pieces

_PLACE = re.compile(r" \[at (\d+):(\d+)\]")

type Found = tuple[int, int, str]
"""Line and column within a block, from 1, and what is wrong there."""


class Checker:
    """Checks blocks against our tables."""

    def __init__(self, tables: Iterable[Table | View]) -> None:
        self._tables = Tables(tables)

    def check(self, block: Block, path: Path) -> list[Problem]:
        """All problems of a block of the file `path`."""
        found = [(line, 1, message) for line, message in broken_rules(block.sql)]
        try:
            tree = parse(block.sql)
            found += self._parameters(block, parameters(tree))
            found += [one for one in self._statements(block, list(pieces(block.sql, tree))) if isinstance(one, tuple)]
        except ServerError as error:
            found.append(_placed(error))
        except ValueError as error:
            found.append((1, 1, str(error)))
        return [
            Problem(path=path, line=block.line + line - 1, column=column, message=f"{block.name}: {message}")
            for line, column, message in found
        ]

    def result(self, block: Block) -> dict[str, str] | None:
        """The columns of the last statement's result, name to GoogleSQL type; None if it is no query, or has a problem."""
        try:
            *_, last = self._statements(block, list(pieces(block.sql, parse(block.sql))))
        except (ServerError, ValueError):
            return None
        if isinstance(last, tuple) or not isinstance(last.tree, ResolvedQueryStmt):
            return None
        return {column.name: str(column.column.type) for column in last.tree.output_column_list}

    def _parameters(self, block: Block, used: set[str]) -> Iterator[Found]:
        for name, kind in block.params.items():
            if name.lower() not in used:
                yield 1, 1, f"parameter {name} is declared and never used"
            try:
                type_of(kind)
            except ServerError:
                yield 1, 1, f"parameter {name}: {kind} is no GoogleSQL type"

    def _statements(self, block: Block, parts: list[Piece]) -> Iterator[Found | Analyzed]:
        """Each statement's problems, and then what it was analyzed to, if it has none of the analyzer's."""
        try:
            settings = options(block.params)
        except ServerError:
            # A bad parameter type, reported already.
            return
        variables = dict[str, Type]()
        for part in parts:
            try:
                found = self._tables.analyze(part.text, settings, variables, is_expression=part.is_expression)
            except ServerError as error:
                yield _placed(error, part)
                continue
            for start, message in (one for subquery in found.correlated_subqueries() for one in not_a_join(subquery)):
                yield part.line + part.text.encode()[:start].count(b"\n"), 1, message
            for start in found.correlated_in_merge():
                yield part.line + part.text.encode()[:start].count(b"\n"), 1, IN_MERGE
            if part.declares:
                variables |= {name: type_of(kind) if kind else found.tree.type for name, kind in part.declares.items()}
            yield found


def _placed(error: ServerError, part: Piece | None = None) -> Found:
    """Line and column within the block, and the message without the place that ZetaSQL put into it."""
    place, line, column = _PLACE.search(error.message), part.line if part else 1, part.column if part else 1
    if place:
        line, column = line + int(place[1]) - 1, int(place[2]) + (column - 1 if place[1] == "1" else 0)
    return line, column, _PLACE.sub("", error.message)
