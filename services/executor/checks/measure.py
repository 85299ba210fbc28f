"""How one check is measured, as parts of a query that measures many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.executor.checks.columns import Column

SAMPLED_ROWS = 5
"""Of the rows that break a rule, so many are shown."""
TABLE_ROWS = "m.row_count"
ALL_ROWS = f"GREATEST({TABLE_ROWS}, 1)"
"""What fails where a rule is for all rows together: all of them; 1 if there is none, for 0 would mean that it holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """The parts of one check. What it names in them begins with its tag, so that checks keep out of each other's way."""

    each: Mapping[str, str] = field(default_factory=dict)
    """Name to expression over `s`, a row of the staging table."""
    total: Mapping[str, str] = field(default_factory=dict)
    """Name to aggregate over `r`, which has what `each` names."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Name to a query of one row, in parentheses, that does not read the staging table."""
    failing_rows: str
    """INT64, 0 where the rule holds; over `m`, which has row_count and what `total` names, and what `beside` names."""
    observed_value: str
    """STRING, over the same."""
    sample_rows: str = "CAST(NULL AS STRING)"
    """A JSON array of arrays of texts, over the same; NULL: no row is shown."""
    values: Mapping[str, tuple[str, object]] = field(default_factory=dict)
    """Query parameters with their GoogleSQL type and value; their names begin with `_`, which no parameter of a template does."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Query parameters that the run gives, with their GoogleSQL type."""


class Rule(Protocol):
    """What a check of some kind asks for. Frozen."""

    @property
    def expect(self) -> str:
        """The rule in words, where the template has none."""
        ...

    @property
    def columns(self) -> tuple[Column, ...]:
        """What a sample of rows that break the rule shows; empty: there is no sample."""
        ...

    def measure(self, tag: str, shown: Sequence[Column]) -> Measure:
        """Its parts; `tag` is an identifier, `shown` what a sample shows."""
        ...


def broken_rows(tag: str, broken: str, shown: Sequence[Column], *, values: Mapping[str, tuple[str, object]] | None = None) -> Measure:
    """A rule that a row breaks where `broken`, over `s`, is true."""
    row = f"TO_JSON_STRING([{', '.join(column.text for column in shown)}])"
    return Measure(
        each={tag: f"IF({broken}, {row}, NULL)"},
        # STRING_AGG leaves NULLs out before it counts to its limit.
        total={f"{tag}_n": f"COUNT(r.{tag})", f"{tag}_rows": f"STRING_AGG(r.{tag}, ',' LIMIT {SAMPLED_ROWS})"},
        failing_rows=f"m.{tag}_n",
        observed_value=f"CAST(m.{tag}_n AS STRING)",
        sample_rows=f"CONCAT('[', m.{tag}_rows, ']')",
        values=values or {},
    )
