"""Which rows of a shared table a template means: `only: {column: x_Provider, value: GCP, or_null: true}`.

Several templates may publish into one table, each its own provider's rows. What a template counts, replaces or deletes there must be its
own rows only. A row that is NULL in the column is older than the column, from when one template alone published into the table: that
template says `or_null`.
"""

import re
from dataclasses import dataclass

from services.executor.templates.section import Section
from services.platform.bigquery.sql import Block

ONLY = "only"
"""The key."""
_COLUMN = re.compile(r"[A-Za-z_]\w{0,127}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnRows:
    """The rows whose `column`, a STRING, has `value`."""

    column: str
    """A checked identifier."""
    value: str
    """Reaches SQL as a query parameter."""
    or_null: bool
    """Also those where it is NULL."""

    def condition(self, param: str, table: str = "") -> str:
        """A boolean expression; `param` is the query parameter that holds `value`, `table` the alias before the column, if there is one."""
        column = f"{table}.`{self.column}`" if table else f"`{self.column}`"
        return f"({column} = @{param} OR {column} IS NULL)" if self.or_null else f"{column} = @{param}"


def read_own_rows(section: Section, create: Block) -> OwnRows | None:
    """What `only` of a section says; None without it. `create` makes the table that it speaks of. Raises TemplateError."""
    if ONLY not in section.keys:
        section.scalar(ONLY)  # so that it is a known key where it is left out
        return None
    only = section.section(ONLY, ONLY)
    column, value = only.text("column"), only.text("value")
    if not _COLUMN.fullmatch(column) or not re.search(rf"^\s+{column} STRING\b", create.sql, re.MULTILINE):
        raise only.error(f"`{column}` is no column of type STRING of the table", "column")
    or_null = only.flag("or_null")
    only.finish()
    return OwnRows(column=column, value=value, or_null=or_null)
