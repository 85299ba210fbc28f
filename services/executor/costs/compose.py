"""Composes a question into one query over `focus_cost_daily`.

The SQL text has no names but those of our own columns, chosen by checked names. Every value is a query parameter, also a tag's key.
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

_PERIODS = {Granularity.DAY: "CAST(f.x_UsageDate AS STRING)", Granularity.MONTH: "FORMAT_DATE('%Y-%m', f.x_UsageDate)"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposedQuestion:
    """A query and its parameters."""

    block: Block
    """Returns at most MOST_ROWS + 1 rows, in no order. Columns:
      - `currency STRING, amount NUMERIC`
      - `period STRING`, unless the whole range is one period
      - `key_0`, `key_1`, ..., all STRING, one for each dimension
      - with `top` also `is_rest BOOL` and `group_count INT64`
    """
    values: Mapping[str, object]


def compose_question(question: Question) -> ComposedQuestion:
    """The query of a question. Only partitions of its days are read, and of them only the columns that it names."""
    params = {"first_day": "DATE", "last_day": "DATE", "row_limit": "INT64"}
    values: dict[str, object] = {"first_day": question.first, "last_day": question.last, "row_limit": MOST_ROWS + 1}
    conditions = ["f.x_UsageDate BETWEEN @first_day AND @last_day"]
    selected = {"period": _PERIODS[question.granularity]} if question.granularity else {}
    selected["currency"] = "f.BillingCurrency"
    for place, dimension in enumerate(question.group_by):
        selected[f"key_{place}"] = _value(dimension, f"group_tag_{place}")
        if dimension.column is None:
            params[f"group_tag_{place}"], values[f"group_tag_{place}"] = "STRING", dimension.key
    for place, one in enumerate(question.filters):
        condition = _condition(one, f"filter_tag_{place}", f"filter_{place}")
        if one.clouds:
            condition = f"({condition} OR IFNULL(f.x_Provider, 'GCP') IN UNNEST(@filter_clouds_{place}))"
            params[f"filter_clouds_{place}"], values[f"filter_clouds_{place}"] = "ARRAY<STRING>", list(one.clouds)
        conditions.append(condition)
        params[f"filter_{place}"], values[f"filter_{place}"] = "ARRAY<STRING>", list(one.values)
        if one.dimension.column is None:
            params[f"filter_tag_{place}"], values[f"filter_tag_{place}"] = "STRING", one.dimension.key
    sql = (
        f"SELECT {', '.join(f'{sql} AS {name}' for name, sql in selected.items())}, SUM(f.{question.metric.column}) AS amount\n"
        f"FROM focus_cost_daily AS f\nWHERE {' AND '.join(conditions)}\nGROUP BY {', '.join(selected)}"
    )
    if question.top:
        params["top"], values["top"] = "INT64", question.top
        sql = _with_rest(sql, list(selected))
    return ComposedQuestion(block=make_block(NAME, f"{sql}\nLIMIT @row_limit", params), values=values)


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


def _with_rest(grouped: str, names: list[str]) -> str:
    """Adds up the groups beyond the first @top of their currency. A group's rank is that of its sum over the whole range, so it is the same
    in all periods; equal sums are ordered by their values.
    """
    keys = [name for name in names if name.startswith("key_")]
    outside = [name for name in names if name not in keys]
    whole = "g.amount"
    if "period" in names:
        columns = ", ".join(f"s.{name}" for name in (*names, "amount"))
        same = ", ".join(f"s.{name}" for name in ("currency", *keys))
        grouped = f"SELECT {columns}, SUM(s.amount) OVER (PARTITION BY {same}) AS whole\nFROM (\n{grouped}\n) AS s"
        whole = "g.whole"
    placed = ", ".join(f"g.{name}" for name in (*names, "amount"))
    ordered = ", ".join(f"g.{name}" for name in keys)
    shown = [f"r.{name}" for name in outside]
    shown += [f"IF(r.place > @top, '', r.{name}) AS {name}" for name in keys]
    # By position: a name of the list is also one of what it is made from.
    positions = ", ".join(str(place) for place in range(1, len(shown) + 2))
    return (
        f"SELECT {', '.join(shown)}, r.place > @top AS is_rest, SUM(r.amount) AS amount, COUNT(*) AS group_count\nFROM (\n"
        f"SELECT {placed}, DENSE_RANK() OVER (PARTITION BY g.currency ORDER BY {whole} DESC, {ordered}) AS place\nFROM (\n"
        f"{grouped}\n) AS g\n) AS r\nGROUP BY {positions}"
    )
