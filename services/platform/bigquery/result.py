"""The result of a statement."""

from dataclasses import dataclass
from typing import Any

from services.platform.bigquery.errors import unavailable


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryResult:
    """The result of a block."""

    rows: list[dict[str, Any]]
    """Column name to value; empty for DML."""
    affected: int
    """Rows changed by DML; 0 for a query, and for a script."""

    @property
    def only_row(self) -> dict[str, Any]:
        """The last row of a script. Raises Unavailable if there is none: the script broke off (see `sql`) and may be sent again."""
        if not self.rows:
            raise unavailable("script", None)
        [row] = self.rows
        return row
