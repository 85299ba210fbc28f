"""The parts that one check contributes to the query that measures all checks of a step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.executor.checks.columns import Column

SAMPLED_ROWS = 5
"""How many rows that break a rule are sampled."""
TABLE_ROWS = "m.row_count"
ALL_ROWS = f"GREATEST({TABLE_ROWS}, 1)"
"""failing_rows of a whole-table rule: the row count, at least 1, because 0 would mean that the rule holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """The parts of one check. Names in them begin with the check's tag, so that checks do not collide. `compose` explains `s`, `r` and
    `m`.
    """

    each: Mapping[str, str] = field(default_factory=dict)
    """Name -> expression over `s`, a row of the staging table."""
    total: Mapping[str, str] = field(default_factory=dict)
    """Name -> aggregate over `r`, which has the names of `each`."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Name -> a scalar subquery, in parentheses, that does not read the staging table."""
    failing_rows: str
    """INT64, 0 if the rule holds; over `m`, which has row_count and the names of `total` and `beside`."""
    observed_value: str
    """STRING, over `m`."""
    sample_rows: str = "CAST(NULL AS STRING)"
    """STRING, over `m`: a JSON array of arrays of texts; NULL: no sample."""
    values: Mapping[str, tuple[str, object]] = field(default_factory=dict)
    """Query parameters with GoogleSQL type and value; their names begin with `_`, unlike a template's parameters."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Query parameters that the run provides, with GoogleSQL type."""


class Rule(Protocol):
    """The rule of a check. Frozen."""

    @property
    def expect(self) -> str:
        """The rule as text, used if the template has no `expect`."""
        ...

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns in a sample of rows that break the rule; empty: no sample."""
        ...

    def measure(self, tag: str, shown: Sequence[Column]) -> Measure:
        """The check's part of the query. `tag` is an identifier; `shown` are the columns of the sample."""
        ...


def broken_rows(tag: str, broken: str, shown: Sequence[Column], *, values: Mapping[str, tuple[str, object]] | None = None) -> Measure:
    """The parts of a rule that is broken by each row where `broken`, an expression over `s`, is true."""
    row = f"TO_JSON_STRING([{', '.join(column.text for column in shown)}])"
    return Measure(
        each={tag: f"IF({broken}, {row}, NULL)"},
        # STRING_AGG drops NULLs before it applies its LIMIT.
        total={f"{tag}_n": f"COUNT(r.{tag})", f"{tag}_rows": f"STRING_AGG(r.{tag}, ',' LIMIT {SAMPLED_ROWS})"},
        failing_rows=f"m.{tag}_n",
        observed_value=f"CAST(m.{tag}_n AS STRING)",
        sample_rows=f"CONCAT('[', m.{tag}_rows, ']')",
        values=values or {},
    )
