"""Our DDL files: each holds one `CREATE TABLE IF NOT EXISTS` with a column a line, or one `CREATE OR REPLACE VIEW` with its columns in
comments. An INSERT of rows that are not there yet may follow a table: those that it has from the start.

A view is stored, so BigQuery requires qualified table names in it: they are written `${control}.name`.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from services.platform.bigquery.sql import Block, make_block

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) \(\n(.*?)\n\)", re.DOTALL)
_VIEW = re.compile(r"^CREATE OR REPLACE VIEW (\w+) AS$", re.MULTILINE)
_VIEW_COLUMN = re.compile(r"^-- column: (\w+) (.+)$", re.MULTILINE)
_DATASET = re.compile(r"[A-Za-z0-9:.-]+\.\w+", re.ASCII)
_COLUMN = re.compile(r"\s*(\w+)\s+(.+?)(\s+NOT NULL)?,?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table, as its DDL file defines it."""

    name: str
    sql: str
    columns: dict[str, str]
    """Name to GoogleSQL type, in order."""

    @property
    def create(self) -> Block:
        """Creates the table, and the rows that it has from the start, if they do not exist; a replay changes nothing."""
        return Block(name=f"create_{self.name}", sql=self.sql, params={})

    @property
    def staging(self) -> "Table":
        """`x_staging_{name}`: the staging table for rows to publish into this table. Same columns, none of them NOT NULL. This name is a
        placeholder: each run creates a table with a name of its own.
        """
        return Table(name=f"x_staging_{self.name}", sql=self.sql, columns=self.columns)

    def add_columns(self, columns: Iterable[str]) -> Block:
        """One statement that adds the columns an older version of the table lacks; a replay changes nothing."""
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS {column} {self.columns[column]}" for column in columns)
        return make_block(f"add_columns_{self.name}", f"ALTER TABLE {self.name} {added}", {})

    def expire(self, days: int) -> Block:
        """Lets BigQuery delete partitions of this age, also those that exist. A replay changes nothing."""
        return make_block(f"expire_{self.name}", f"ALTER TABLE {self.name} SET OPTIONS (partition_expiration_days = {days:d})", {})


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A view, as its DDL file defines it."""

    name: str
    sql: str
    """With `${control}` in place of the dataset."""
    columns: dict[str, str]
    """Name to GoogleSQL type, in order, from the file's comments."""

    @property
    def bare(self) -> Block:
        """With bare table names, as `tools/check_sql` resolves them."""
        return make_block(f"create_{self.name}", self.sql.replace("${control}.", ""), {})

    @property
    def text_hash(self) -> str:
        """Of the DDL file: a view carries it in its label `ddl`, by which a newer text is seen."""
        return hashlib.sha256(self.sql.encode()).hexdigest()[:32]

    def create(self, dataset: str) -> Block:
        """Creates or replaces the view over the tables of `dataset` (`project.dataset`). Raises ValueError for an invalid dataset name: it
        becomes part of the SQL text.
        """
        if not _DATASET.fullmatch(dataset):
            raise ValueError(f"{dataset!r} is no `project.dataset`")
        head = f"CREATE OR REPLACE VIEW {self.name} OPTIONS (labels = [('ddl', '{self.text_hash}')]) AS"
        return make_block(f"create_{self.name}", _VIEW.sub(head, self.sql.replace("${control}", dataset), count=1), {})


def create_tables(name: str, tables: list[Table]) -> Block:
    """A script that creates the missing ones of these tables and ends with a confirming row; `sql` says why."""
    return make_block(name, ";\n".join([*(table.sql.strip() for table in tables), "SELECT TRUE AS done"]), {})


def load_views(folder: Path) -> dict[str, View]:
    """The views of a folder of DDL files, by name."""
    found = ((_VIEW.search(text), text) for text in (path.read_text() for path in sorted(folder.glob("*.sql"))))
    return {match[1]: View(name=match[1], sql=text, columns=dict(_VIEW_COLUMN.findall(text))) for match, text in found if match}


def load_tables(folder: Path) -> dict[str, Table]:
    """The tables of a folder of DDL files, by name. Raises ValueError, naming the file, for DDL of any other form than described above."""
    texts = ((path, path.read_text()) for path in sorted(folder.glob("*.sql")))
    tables = [read_table(text, str(path)) for path, text in texts if not _VIEW.search(text)]
    return {table.name: table for table in tables}


def read_table(text: str, source: str) -> Table:
    """The table of this DDL. Raises ValueError, naming `source`, for DDL of any other form than described above."""
    match = _TABLE.search(text)
    if match is None:
        raise ValueError(f"{source}: expected `CREATE TABLE IF NOT EXISTS name (`, a column a line, and `)`")
    columns = {}
    for line in match[2].splitlines():
        column = _COLUMN.fullmatch(line)
        if column is None:
            raise ValueError(f"{source}: cannot read the column `{line.strip()}`")
        columns[column[1]] = column[2]
    return Table(name=match[1], sql=text, columns=columns)
