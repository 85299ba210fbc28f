"""Checks one block: its parameters, our rules, and every statement in it, its correlated subqueries included."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from zetasql.api import Analyzer
from zetasql.core.exceptions import ServerError
from zetasql.types import Type

from services.platform.bigquery.ddl import Table, View
from services.platform.bigquery.sql import Block
from tools.check_sql.correlation import not_a_join
from tools.check_sql.language import catalog, options, type_of
from tools.check_sql.problem import Problem
from tools.check_sql.rules import broken_rules
from tools.check_sql.script import Piece, parameters, parse, pieces

_PLACE = re.compile(r" \[at (\d+):\d+\]")


class Checker:
    """Checks blocks against our tables."""

    def __init__(self, tables: Iterable[Table | View]) -> None:
        self._tables = list(tables)

    def check(self, block: Block, path: Path) -> list[Problem]:
        """All problems of a block of the file `path`."""
        found = [(line, message) for line, message in broken_rules(block.sql)]
        try:
            tree = parse(block.sql)
            found += self._parameters(block, parameters(tree))
            found += self._statements(block, list(pieces(block.sql, tree)))
        except ServerError as error:
            found.append(_placed(error, 1))
        except ValueError as error:
            found.append((1, str(error)))
        return [Problem(path=path, line=block.line + line - 1, message=f"{block.name}: {message}") for line, message in found]

    def _parameters(self, block: Block, used: set[str]) -> Iterator[tuple[int, str]]:
        for name, kind in block.params.items():
            if name.lower() not in used:
                yield 1, f"parameter {name} is declared and never used"
            try:
                type_of(kind)
            except ServerError:
                yield 1, f"parameter {name}: {kind} is no GoogleSQL type"

    def _statements(self, block: Block, parts: list[Piece]) -> Iterator[tuple[int, str]]:
        try:
            settings = options(block.params)
        except ServerError:
            # A bad parameter type, reported already.
            return
        # The catalog is sent with every statement, so it contains only what the block may need.
        mentioned = [table for table in self._tables if table.name in block.sql]
        known, variables = catalog(mentioned), dict[str, Type]()
        for part in parts:
            analyzer = Analyzer(settings, known)
            try:
                tree = analyzer.analyze_expression(part.text) if part.is_expression else analyzer.analyze_statement(part.text)
            except ServerError as error:
                yield _placed(error, part.line)
                continue
            for start, message in not_a_join(tree):
                yield part.line + part.text.encode()[:start].count(b"\n"), message
            if part.declares:
                variables |= {name: type_of(kind) if kind else tree.type for name, kind in part.declares.items()}
                known = catalog(mentioned, variables)


def _placed(error: ServerError, line: int) -> tuple[int, str]:
    """Line within the block, and the message without the place that ZetaSQL put into it."""
    place = _PLACE.search(error.message)
    return line + (int(place[1]) - 1 if place else 0), _PLACE.sub("", error.message)
