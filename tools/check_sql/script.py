"""Splits a script into its statements and expressions, each with its position and the variables declared before it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from zetasql.api import ASTNodeVisitor, Parser
from zetasql.types import (
    ASTElseifClause,
    ASTIfStatement,
    ASTParameterExpr,
    ASTScript,
    ASTSingleAssignment,
    ASTStatementList,
    ASTVariableDeclaration,
)

from tools.check_sql.language import LANGUAGE

# Statements that may occur in a script but are not analyzed: reported instead of skipped silently.
UNKNOWN = frozenset(
    {
        "ASTBeginEndBlock",
        "ASTCaseStatement",
        "ASTExecuteImmediateStatement",
        "ASTForInStatement",
        "ASTRepeatStatement",
        "ASTWhileStatement",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One statement, or one expression of a script (`IF ... THEN`, `SET x = ...`)."""

    text: str
    line: int
    """Within the script, from 1, as is `column`."""
    column: int
    is_expression: bool = False
    declares: Mapping[str, str | None] | None = None
    """Variables declared here, with their type; None if the expression determines it."""


def parse(sql: str) -> ASTScript:
    """The syntax tree. Raises zetasql's ServerError for a syntax error."""
    return Parser(LANGUAGE).parse_script(sql)


def pieces(sql: str, tree: ASTScript) -> Iterator[Piece]:
    """Everything to analyze, in source order. Raises ValueError for statements unknown to the checks."""
    yield from _pieces(sql.encode(), tree.statement_list_node, is_expression=False)


def _pieces(source: bytes, node: Any, *, is_expression: bool) -> Iterator[Piece]:
    parts = _parts(node)
    if parts is not None:
        for part, expression in parts:
            yield from _pieces(source, part, is_expression=expression)
    elif isinstance(node, ASTVariableDeclaration):
        kind = _piece(source, node.type).text if node.type else None
        value = _piece(source, node.default_value).text if node.default_value else "NULL"
        names = {name.id_string: kind for name in node.variable_list.identifier_list}
        yield replace(_piece(source, node.default_value or node), text=value, is_expression=True, declares=names)
    elif type(node).__name__ in UNKNOWN:
        raise ValueError(f"the checks do not know {type(node).__name__.removeprefix('AST')}")
    else:
        yield replace(_piece(source, node), is_expression=is_expression)


def _parts(node: Any) -> list[tuple[Any, bool]] | None:
    """The parts of a control statement, each with whether it is an expression; None for any other node."""
    match node:
        case ASTStatementList():
            return [(statement, False) for statement in node.statement_list]
        case ASTIfStatement():
            clauses = node.elseif_clauses.elseif_clauses if node.elseif_clauses else []
            branches = [node.then_list, *clauses, *([node.else_list] if node.else_list else [])]
            return [(node.condition, True), *((branch, False) for branch in branches)]
        case ASTElseifClause():
            return [(node.condition, True), (node.body, False)]
        case ASTSingleAssignment():
            return [(node.expression, True)]
        case _:
            return None


def _piece(source: bytes, node: Any) -> Piece:
    """The node's own text. ZetaSQL counts bytes."""
    span = node.parse_location_range
    before = source[: span.start]
    line, column = before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode()) + 1
    return Piece(text=source[span.start : span.end].decode(), line=line, column=column)


def parameters(tree: ASTScript) -> set[str]:
    """Lower-case names of all `@params` in use."""
    found = _Parameters()
    found.visit(tree)
    return found.names


class _Parameters(ASTNodeVisitor):  # type: ignore[misc]  # zetasql has no typings
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def visit_ASTParameterExpr(self, node: ASTParameterExpr) -> None:
        if node.name is not None:
            self.names.add(node.name.id_string.lower())
