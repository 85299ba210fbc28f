"""Rules for single rows. NULL breaks no rule but not_null."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.executor.checks.columns import Column
from services.executor.checks.measure import Measure, broken_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class NotNull:
    """Each row has a value."""

    column: Column

    @property
    def expect(self) -> str:
        """For example `no NULL cost`."""
        return f"no NULL {self.column.path}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The column itself."""
        return (self.column,)

    def measure(self, tag: str, shown: Sequence[Column]) -> Measure:
        """Counts rows that are NULL in the column."""
        return broken_rows(tag, f"{self.column.sql} IS NULL", shown)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unique:
    """No two rows have the same values. All rows that share their values break it; rows with a NULL among the values are not compared."""

    columns: tuple[Column, ...]

    @property
    def expect(self) -> str:
        """For example `no two rows with the same id`."""
        return f"no two rows with the same {', '.join(column.path for column in self.columns)}"

    def measure(self, tag: str, shown: Sequence[Column]) -> Measure:
        """Counts rows in groups of more than one."""
        known = " AND ".join(f"{column.sql} IS NOT NULL" for column in self.columns)
        key = ", ".join(column.sql for column in self.columns)
        return broken_rows(tag, f"{known} AND COUNT(*) OVER (PARTITION BY {key}) > 1", shown)


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedValues:
    """Each value is one of `values`."""

    column: Column
    values: tuple[str, ...] | tuple[int, ...]

    @property
    def expect(self) -> str:
        """For example `currency one of USD, EUR`."""
        return f"{self.column.path} one of {', '.join(str(value) for value in self.values)}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The column itself."""
        return (self.column,)

    def measure(self, tag: str, shown: Sequence[Column]) -> Measure:
        """Counts rows with another value."""
        values = {f"_{tag}_values": (f"ARRAY<{self.column.kind}>", list(self.values))}
        # NULL IN (...) is NULL, which is not true.
        return broken_rows(tag, f"{self.column.sql} NOT IN UNNEST(@_{tag}_values)", shown, values=values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Each number is within bounds, both included. NaN is outside."""

    column: Column
    least: float | None
    most: float | None
    """At least one of `least` and `most` is set."""

    @property
    def expect(self) -> str:
        """For example `cost at least 0`."""
        return f"{self.column.path} {between(self.least, self.most)}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The column itself."""
        return (self.column,)

    def measure(self, tag: str, shown: Sequence[Column]) -> Measure:
        """Counts rows outside the bounds, and NaN."""
        bounds = {f"_{tag}_min": ("<", self.least), f"_{tag}_max": (">", self.most)}
        bounds = {name: bound for name, bound in bounds.items() if bound[1] is not None}
        broken = [f"{self.column.sql} {sign} @{name}" for name, (sign, _) in bounds.items()]
        if self.column.kind == "FLOAT64":
            # NaN compares false with any number.
            broken.append(f"IS_NAN({self.column.sql})")
        kind = "INT64" if all(isinstance(bound, int) for _, bound in bounds.values()) else "FLOAT64"
        return broken_rows(tag, " OR ".join(broken), shown, values={name: (kind, bound) for name, (_, bound) in bounds.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Finite:
    """Each number is finite: a sum with a NaN or an infinity is useless."""

    columns: tuple[Column, ...]
    """FLOAT64 columns."""

    @property
    def expect(self) -> str:
        """For example `neither NaN nor infinite: cost, credits.amount`."""
        return f"neither NaN nor infinite: {', '.join(column.path for column in self.columns)}"

    def measure(self, tag: str, shown: Sequence[Column]) -> Measure:
        """observed_value names the columns with such values, and the number of rows for each."""
        odd = {f"{tag}_{place}": f"(IS_NAN({column.sql}) OR IS_INF({column.sql}))" for place, column in enumerate(self.columns)}
        rows = broken_rows(tag, " OR ".join(odd.values()), shown)
        found = [
            f"IF(m.{name} > 0, CONCAT(CAST(m.{name} AS STRING), ' in {column.path}'), NULL)"
            for name, column in zip(odd, self.columns, strict=True)
        ]
        return replace(
            rows,
            each={**rows.each, **odd},
            total={**rows.total, **{name: f"COUNTIF(r.{name})" for name in odd}},
            # STRING_AGG drops NULLs.
            observed_value=f"ARRAY_TO_STRING([{', '.join(found)}], ', ')",
        )


def between(least: float | None, most: float | None) -> str:
    """The bounds as text. At least one of them is set."""
    if most is None:
        return f"at least {least}"
    return f"at most {most}" if least is None else f"from {least} to {most}"
