"""Keeps the parsed expressions of a script's values: of DECLARE and SET, and the conditions of IF and WHILE.

local-bigquery parses each expression every time, and makes a query of it. Here a known expression is translated like any other query (see
`translations`), without its tree (see `statements`). Its value is computed each time, over the tables and variables of that moment.

Upstream would have to keep trees by text.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import sqlglot
from local_bigquery.sql import script
from local_bigquery.sql.dialect import BigQueryDialect
from local_bigquery.sql.rules.parameters import VALUE
from local_bigquery.sql.script import Interpreter, Statement
from sqlglot import exp

from localcloud.bigquery.sql import shelf
from localcloud.bigquery.sql.statements import OTHERS, TEXT, Kept, Text, is_plain, without_ids
from localcloud.bigquery.version import require_known_version

type Values = list[tuple[list[str], list[exp.Select]]]
"""Names of variables, and the queries for their values."""

_declare: Callable[[Interpreter, Statement], None] = Interpreter.declare
_set: Callable[[Interpreter, Statement], None] = Interpreter.set
_evaluate: Callable[[Interpreter, str], Any] = Interpreter.evaluate
_select: Callable[[exp.Expression], exp.Select] = script._select  # noqa: SLF001 - how a value becomes a query


_lock = threading.Lock()
# By text: the variables that it sets, and the number of queries for their values. None if it must not be kept.
_known: Kept[list[tuple[list[str], int]] | None] = Kept()


def install() -> None:
    """Replaces where a script's values are worked out. RuntimeError if local-bigquery is not the known version."""
    require_known_version()
    Interpreter.declare, Interpreter.set, Interpreter.evaluate = declare, assign, evaluate


def reset() -> None:
    """Clears everything, as if the process had just begun."""
    with _lock:
        _known.clear()


def declare(self: Interpreter, statement: Statement) -> None:
    """`Interpreter.declare`."""
    if (values := _values(statement.text, _declared)) is None:
        _declare(self, statement)
        return
    for names, (select,) in values:
        for name in names:
            table = script._temporary_table("variable")  # noqa: SLF001 - the name that a variable's table has
            query, bound = script.translate(select, self.context)
            self.cursor.execute(f"CREATE TEMP TABLE {table} AS {query}", bound)
            self.context.variables[name] = table


def assign(self: Interpreter, statement: Statement) -> None:
    """`Interpreter.set`."""
    if (values := _values(statement.text, _assigned)) is None:
        _set(self, statement)
        return
    for names, selects in values:
        tables = [self.variable(name) for name in names]
        for table, select in zip(tables, selects, strict=False):
            query, bound = script.translate(select, self.context)
            self.cursor.execute(f"UPDATE {table} SET {VALUE} = (SELECT {VALUE} FROM ({query}))", bound)  # noqa: S608


def evaluate(self: Interpreter, sql: str) -> Any:
    """`Interpreter.evaluate`."""
    if (values := _values(sql, _evaluated)) is None:
        return _evaluate(self, sql)
    query, bound = script.translate(values[0][1][0], self.context)
    return self.cursor.execute(query, bound).fetchall()[0][0]


def _declared(text: str) -> Values:
    found: Values = []
    for item in sqlglot.parse_one(text, dialect=BigQueryDialect).expressions:
        value = item.args.get("default") or exp.null()
        if kind := item.args.get("kind"):
            value = exp.cast(value, kind)
        found.append(([name.name.lower() for name in item.this], [_select(value.copy())]))
    return found


def _assigned(text: str) -> Values | None:
    found: Values = []
    for item in sqlglot.parse_one(text, dialect=BigQueryDialect).expressions:
        target, value = item.this.this, item.this.expression
        if isinstance(target, exp.Parameter):
            # A system variable.
            return None
        targets = target.expressions if isinstance(target, exp.Tuple) else [target]
        parts = value.expressions if isinstance(value, exp.Tuple) else [value]
        columns = [exp.column(part.name) if isinstance(part, exp.Var) else part for part in parts]
        found.append(([one.name for one in targets], [_select(part) for part in columns]))
    return found


def _evaluated(text: str) -> Values:
    return [([], [_select(sqlglot.parse_one(f"SELECT {text}", dialect=BigQueryDialect).expressions[0])])]


def _values(text: str, parse: Callable[[str], Values | None]) -> Values | None:
    """The variables that the text sets, with outlines of the queries. None if it must not be kept."""
    of_any_ids, ids = without_ids(text)
    key = parse.__name__, of_any_ids
    with _lock:
        is_known, groups = key in _known, _known.get(key)
    if not is_known:
        groups = shelf.find("value", key)
        if groups is None:
            began = time.thread_time()
            values = None if OTHERS.search(text) else parse(text)
            is_kept = values is not None and all(is_plain(select) for _, selects in values for select in selects)
            groups = [(names, len(selects)) for names, selects in values] if values and is_kept else None
            shelf.keep("value", key, groups, seconds=time.thread_time() - began)
        with _lock:
            _known.keep(key, groups)

    def whole(group: int, number: int) -> exp.Expression:
        return (parse(text) or [])[group][1][number]

    def outline(group: int, number: int) -> exp.Select:
        tree = exp.Select()
        name = f"value {parse.__name__} {group} {number}\n{of_any_ids}"
        tree.meta[TEXT] = Text(of_any_ids=name, ids=ids, whole=partial(whole, group, number))
        return tree

    if groups is None:
        return None
    return [(names, [outline(group, number) for number in range(count)]) for group, (names, count) in enumerate(groups)]
