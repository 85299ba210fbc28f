"""Refuses correlated subqueries that BigQuery cannot turn into joins.

ZetaSQL and the emulator accept any subquery. BigQuery runs a subquery that reads a table and names columns of the outer statement only as a
join, and a join needs an equality of fields from both sides (BigQuery, "Troubleshoot query issues", correlated subqueries). So each such
column must be alone on one side of an `=` in the subquery's WHERE, with the subquery's own columns on the other. A subquery that reads no
table, e.g. only an array of the row, is no join and is not checked; but in the conditions and clauses of a MERGE BigQuery has none at all
("MERGE statement", limitations).
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from zetasql.types import (
    ProtoModel,
    ResolvedAggregateScan,
    ResolvedColumnRef,
    ResolvedFilterScan,
    ResolvedFunctionCall,
    ResolvedJoinScan,
    ResolvedJoinScanEnums,
    ResolvedLimitOffsetScan,
    ResolvedOrderByScan,
    ResolvedProjectScan,
    ResolvedSubqueryExpr,
    ResolvedTableScan,
    ResolvedWithRefScan,
)

COLUMN = "BigQuery cannot turn this correlated subquery into a join: {} must be in an equality with a column of the subquery; use a JOIN"
NESTED = "BigQuery cannot turn a correlated subquery inside a correlated subquery into joins; use a JOIN"
LIMITED = "BigQuery cannot turn a correlated subquery with LIMIT into a join; use an aggregate, or QUALIFY ROW_NUMBER() in a JOIN"
IN_MERGE = "BigQuery has no correlated subqueries in the conditions and clauses of a MERGE; compare with an array or a variable"
_INNER, _LEFT = ResolvedJoinScanEnums.JoinType.INNER, ResolvedJoinScanEnums.JoinType.LEFT


def not_a_join(tree: ProtoModel) -> Iterator[tuple[int, str]]:
    """Where a subquery of an analyzed statement, expression or subquery begins (byte offset), itself included, and why BigQuery refuses
    it.
    """
    yield from _walk(tree, inside=False)


def _walk(node: ProtoModel, *, inside: bool) -> Iterator[tuple[int, str]]:
    if isinstance(node, ResolvedSubqueryExpr) and node.parameter_list and _reads_a_table(node.subquery):
        place = node.parse_location_range.start if node.parse_location_range else 0
        if inside:
            yield place, NESTED
        yield from ((place, message) for message in _problems(node))
        inside = True
    for child in _children(node):
        yield from _walk(child, inside=inside)


def _problems(subquery: ResolvedSubqueryExpr) -> Iterator[str]:
    outer = {column.column.column_id for column in subquery.parameter_list}
    joined = {id(ref) for condition in _conditions(subquery.subquery) for ref in _join_key(condition, outer)}
    loose = {f"{ref.column.table_name}.{ref.column.name}" for ref in _refs(subquery.subquery, outer) if id(ref) not in joined}
    for name in sorted(loose):
        yield COLUMN.format(name)
    if any(isinstance(one, ResolvedLimitOffsetScan) for one in _path(subquery.subquery)):
        yield LIMITED


def _path(scan: ProtoModel) -> Iterator[ProtoModel]:
    """The scans from which a condition can be moved up into the join that replaces the subquery."""
    yield scan
    match scan:
        case ResolvedJoinScan():
            if scan.join_type in (_INNER, _LEFT):
                yield from _path(scan.left_scan)
            if scan.join_type == _INNER:
                yield from _path(scan.right_scan)
        case ResolvedProjectScan() | ResolvedFilterScan() | ResolvedAggregateScan() | ResolvedOrderByScan() | ResolvedLimitOffsetScan():
            yield from _path(scan.input_scan)


def _conditions(scan: ProtoModel) -> Iterator[ProtoModel]:
    for one in _path(scan):
        if isinstance(one, ResolvedFilterScan):
            yield from _conjuncts(one.filter_expr)
        elif isinstance(one, ResolvedJoinScan) and one.join_type == _INNER and one.join_expr:
            yield from _conjuncts(one.join_expr)


def _conjuncts(condition: ProtoModel) -> Iterator[ProtoModel]:
    if _calls(condition, "$and"):
        for argument in condition.argument_list:
            yield from _conjuncts(argument)
    else:
        yield condition


def _join_key(condition: ProtoModel, outer: set[int]) -> list[Any]:
    """The outer columns of an equality between fields of both sides; empty for any other condition."""
    if not _calls(condition, "$equal"):
        return []
    one, other = condition.argument_list
    for theirs, ours in ((one, other), (other, one)):
        names = list(_refs(theirs))
        if names and all(ref.column.column_id in outer for ref in names) and list(_refs(ours)) and not list(_refs(ours, outer)):
            return names
    return []


def _calls(node: ProtoModel, name: str) -> bool:
    return isinstance(node, ResolvedFunctionCall) and node.function is not None and node.function.name == f"ZetaSQL:{name}"


def _refs(node: ProtoModel, among: set[int] | None = None) -> Iterator[Any]:
    """Column references, those of nested subqueries included."""
    if isinstance(node, ResolvedColumnRef):
        if among is None or node.column.column_id in among:
            yield node
        return
    # The columns passed to a nested subquery are named inside it, too.
    passed = {id(ref) for ref in node.parameter_list} if isinstance(node, ResolvedSubqueryExpr) else set()
    for child in _children(node):
        if id(child) not in passed:
            yield from _refs(child, among)


def _reads_a_table(node: ProtoModel) -> bool:
    return isinstance(node, ResolvedTableScan | ResolvedWithRefScan) or any(_reads_a_table(child) for child in _children(node))


def _children(node: ProtoModel) -> Iterator[ProtoModel]:
    for field in fields(node):
        value = getattr(node, field.name, None)
        for child in value if isinstance(value, list) else (value,):
            if isinstance(child, ProtoModel):
                yield child
