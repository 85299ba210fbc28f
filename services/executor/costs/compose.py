"""Composes a question into one query over `focus_cost_daily`.

The SQL text holds nothing but names of our own columns, chosen by checked names; every value, a tag's key too, is a query parameter.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.executor.costs.dimensions import Dimension, Filter
from services.executor.costs.question import Granularity, Question
from services.platform.bigquery.sql import Block, make_block

NAME = "costs"
"""The name of the query in metrics and job labels."""
MOST_ROWS = 20_000
"""Rows of an answer, on all its pages: it is sorted and kept in memory."""

_PERIODS = {
    Granularity.WHOLE: "''",
    Granularity.DAY: "CAST(f.x_UsageDate AS STRING)",
    Granularity.MONTH: "FORMAT_DATE('%Y-%m', f.x_UsageDate)",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposedQuestion:
    """A query and its parameters."""

    block: Block
    """Returns `period STRING, currency STRING, is_rest BOOL, amount NUMERIC, group_count INT64`, and `key_0`, `key_1`, ..., all STRING, one
    for each dimension; at most MOST_ROWS + 1 rows, in no order.
    """
    values: Mapping[str, object]


def compose_question(question: Question) -> ComposedQuestion:
    """The query of a question. Only partitions of its days are read, and of them only the columns that it names."""
    keys = [f"key_{place}" for place in range(len(question.group_by))]
    params = {"first_day": "DATE", "last_day": "DATE", "row_limit": "INT64"}
    values: dict[str, object] = {"first_day": question.first, "last_day": question.last, "row_limit": MOST_ROWS + 1}
    conditions = ["f.x_UsageDate BETWEEN @first_day AND @last_day"]
    selected = [f"{_PERIODS[question.granularity]} AS period", "f.BillingCurrency AS currency"]
    for place, dimension in enumerate(question.group_by):
        selected.append(f"{_value(dimension, f'group_tag_{place}')} AS key_{place}")
        if dimension.column is None:
            params[f"group_tag_{place}"], values[f"group_tag_{place}"] = "STRING", dimension.key
    for place, one in enumerate(question.filters):
        conditions.append(_condition(one, f"filter_tag_{place}", f"filter_{place}"))
        params[f"filter_{place}"], values[f"filter_{place}"] = "ARRAY<STRING>", list(one.values)
        if one.dimension.column is None:
            params[f"filter_tag_{place}"], values[f"filter_tag_{place}"] = "STRING", one.dimension.key
    grouped = (
        f"SELECT {', '.join(selected)}, SUM(f.{question.metric.column}) AS amount\n"
        f"FROM focus_cost_daily AS f\nWHERE {' AND '.join(conditions)}\n"
        f"GROUP BY {', '.join(['period', 'currency', *keys])}"
    )
    if question.top:
        params["top"], values["top"] = "INT64", question.top
        sql = _with_rest(grouped, keys)
    else:
        columns = ", ".join(f"g.{name}" for name in ("period", "currency", *keys, "amount"))
        sql = f"SELECT {columns}, FALSE AS is_rest, 1 AS group_count\nFROM (\n{grouped}\n) AS g\nLIMIT @row_limit"
    return ComposedQuestion(block=make_block(NAME, sql, params), values=values)


def _value(dimension: Dimension, param: str) -> str:
    """The dimension's value as STRING, empty for rows that have none."""
    if dimension.column is None:
        return f"IFNULL(JSON_VALUE(f.Tags[@{param}]), '')"
    return f"IFNULL(f.{dimension.column.name}, '')" if dimension.column.nullable else f"f.{dimension.column.name}"


def _condition(one: Filter, tag: str, param: str) -> str:
    column = one.dimension.column
    # A bare column lets BigQuery skip blocks of the cluster key.
    value = f"f.{column.name}" if column is not None and "" not in one.values else _value(one.dimension, tag)
    return f"{value} IN UNNEST(@{param})"


def _with_rest(grouped: str, keys: list[str]) -> str:
    """Groups beyond the first @top of their currency become one. A group's place is that of its sum over the whole range, so it is the same
    in all periods; equal sums are ordered by their values.
    """
    inner = ", ".join(f"g.{name}" for name in ("period", "currency", *keys, "amount"))
    placed = ", ".join(f"t.{name}" for name in keys)
    shown = ", ".join(f"IF(r.place > @top, '', r.{name}) AS {name}" for name in keys)
    named = ", ".join(f"p.{name}" for name in ("period", "currency", "is_rest", *keys))
    return (
        f"SELECT {named}, SUM(p.amount) AS amount, COUNT(*) AS group_count\nFROM (\n"
        f"SELECT r.period, r.currency, r.place > @top AS is_rest, {shown}, r.amount\nFROM (\n"
        f"SELECT t.period, t.currency, {placed}, t.amount,\n"
        f"  DENSE_RANK() OVER (PARTITION BY t.currency ORDER BY t.whole DESC, {placed}) AS place\nFROM (\n"
        f"SELECT {inner}, SUM(g.amount) OVER (PARTITION BY g.currency, {', '.join(f'g.{name}' for name in keys)}) AS whole\nFROM (\n"
        f"{grouped}\n) AS g\n) AS t\n) AS r\n) AS p\nGROUP BY {named}\nLIMIT @row_limit"
    )
