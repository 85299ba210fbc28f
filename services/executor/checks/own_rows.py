"""A template's own rows in a shared table: `only: {column: x_Provider, value: GCP, or_null: true}`.

Several templates may publish into one table, each the rows of its own provider. Each counts, replaces and deletes only its own rows. Rows
that were published before the column existed have NULL in it. They belong to the template that published them; it sets `or_null`.
"""

import re
from dataclasses import dataclass

from services.executor.templates.section import Section
from services.platform.bigquery.sql import Block

ONLY = "only"
"""The key in the template."""
_COLUMN = re.compile(r"[A-Za-z_]\w{0,127}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnRows:
    """The rows whose `column`, a STRING, equals `value`."""

    column: str
    """A checked identifier of the table."""
    value: str
    """Passed as a query parameter."""
    or_null: bool
    """True: rows with NULL in the column count, too."""

    def condition(self, param: str, table: str = "") -> str:
        """A boolean SQL expression; `param` is the query parameter with `value`, `table` the alias in front of the column, if any."""
        column = f"{table}.`{self.column}`" if table else f"`{self.column}`"
        return f"({column} = @{param} OR {column} IS NULL)" if self.or_null else f"{column} = @{param}"


def read_own_rows(section: Section, create: Block) -> OwnRows | None:
    """Reads `only` of a section; None if absent. `create` is the DDL of the table it is about. Raises TemplateError."""
    if ONLY not in section.keys:
        section.scalar(ONLY)  # marks the key as known where it is absent
        return None
    only = section.section(ONLY, ONLY)
    column, value = only.text("column"), only.text("value")
    if not _COLUMN.fullmatch(column) or not re.search(rf"^\s+{column} STRING\b", create.sql, re.MULTILINE):
        raise only.error(f"`{column}` is no column of type STRING of the table", "column")
    or_null = only.flag("or_null")
    only.finish()
    return OwnRows(column=column, value=value, or_null=or_null)
