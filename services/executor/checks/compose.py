"""Composes all checks of a step into one query.

Declared checks read the staging table once. The aliases: `s` is a row of the staging table, `r` = `s` plus the per-row expressions of all
checks, `m` = one row with the aggregates over `r`. One result row a check is made from `m`. Custom blocks are added by UNION ALL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.executor.checks.columns import Column
from services.executor.checks.measure import Measure, Rule
from services.executor.staging.shape import StagingShape
from services.platform.bigquery.sql import Block, make_block

NAME = "dq_checks"
"""The name of the composed query in metrics."""
MEASURED: Final = ("check_name", "failing_rows", "observed_value")
"""The columns of a custom block: STRING, INT64, STRING. Those of declared checks also have `sample_rows STRING`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Composed:
    """A composed query and its parameters."""

    block: Block
    """Returns one row a check, with `columns`."""
    values: Mapping[str, object]
    """Values of the query's own parameters."""
    columns: tuple[str, ...] = (*MEASURED, "sample_rows")


def compose(rules: Mapping[str, Rule], blocks: Sequence[Block], *, staging: StagingShape | None, sample: Sequence[Column]) -> Composed:
    """The query for these rules by check name (lower-case letters, digits, underscores) and for these custom blocks. Each custom block is
    one query; if it is alone, it is sent unchanged. `staging` is required if there are rules; `sample`: columns that samples show in
    addition.
    """
    if staging is None:
        [first, *others] = blocks
        if not others:
            return Composed(block=first, values={}, columns=MEASURED)
    measures = {name: rule.measure(f"dq{place}", shown(rule, sample)) for place, (name, rule) in enumerate(rules.items())}
    arms = [_declared(measures, staging)] if staging else []
    arms += [_custom(block) for block in blocks]
    params = {name: kind for block in blocks for name, kind in block.params.items()}
    values = dict[str, object]()
    for measure in measures.values():
        params |= measure.given
        params |= {name: kind for name, (kind, _) in measure.values.items()}
        values |= {name: value for name, (_, value) in measure.values.items()}
    return Composed(block=make_block(NAME, "\nUNION ALL\n".join(arms), params), values=values)


def shown(rule: Rule, sample: Sequence[Column]) -> tuple[Column, ...]:
    """The columns in samples of the rule's rows: its own, then the declared ones; empty for a rule that is not about single rows."""
    return tuple(dict.fromkeys([*rule.columns, *sample])) if rule.columns else ()


def _declared(measures: Mapping[str, Measure], staging: StagingShape) -> str:
    each = [f"{sql} AS {name}" for measure in measures.values() for name, sql in measure.each.items()]
    total = [f"{sql} AS {name}" for measure in measures.values() for name, sql in measure.total.items()]
    beside = [f"\nCROSS JOIN {sql} AS {name}" for measure in measures.values() for name, sql in measure.beside.items()]
    structs = [
        f"STRUCT('{name}' AS check_name, {measure.failing_rows} AS failing_rows,"
        f" {measure.observed_value} AS observed_value, {measure.sample_rows} AS sample_rows)"
        for name, measure in measures.items()
    ]
    return (
        "SELECT c.check_name, c.failing_rows, c.observed_value, c.sample_rows\n"
        f"FROM (\n  SELECT [\n    {_lines(structs)}\n  ] AS checks\n"
        f"  FROM (\n    SELECT\n    {_lines(['COUNT(*) AS row_count', *total])}\n"
        f"    FROM (\n    SELECT\n    {_lines(each or ['TRUE AS is_row'])}\n    FROM {staging.name} AS s\n    ) AS r\n  ) AS m"
        f"{''.join(beside)}\n) AS q\nCROSS JOIN UNNEST(q.checks) AS c"
    )


def _custom(block: Block) -> str:
    # The block may end in a comment, so the parenthesis goes on a new line.
    return (
        "SELECT b.check_name, b.failing_rows, b.observed_value, CAST(NULL AS STRING) AS sample_rows\n"
        f"FROM (\n{block.sql.rstrip().removesuffix(';')}\n) AS b"
    )


def _lines(parts: Sequence[str]) -> str:
    return ",\n    ".join(parts)
