"""What is published of the billing periods of exported files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Self


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownExport:
    """What is published of one period of a source; a row of x_meta_exports."""

    source_id: str
    month: date
    """The period's first day."""
    manifest_key: str
    manifest_etag: str
    manifest_id: str
    exported_at: datetime
    version: int
    days: tuple[date, ...]
    """UTC days with published rows of the period."""
    row_count: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row."""
        names = {"month": "billing_period"}
        values = {name: row[names.get(name, name)] for name in cls.__dataclass_fields__}
        return cls(**{**values, "days": tuple(row["days"] or ()), "row_count": row["row_count"] or 0})
