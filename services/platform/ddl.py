"""Our DDL, as files: one `CREATE TABLE IF NOT EXISTS` each, a column a line."""

import re
from dataclasses import dataclass
from pathlib import Path

from services.platform.sql import Block, make_block

_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) \(\n(.*?)\n\)", re.DOTALL)
_COLUMN = re.compile(r"\s*(\w+)\s+(.+?)(\s+NOT NULL)?,?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table as its DDL file makes it."""

    name: str
    sql: str
    columns: dict[str, str]
    """Name to GoogleSQL type, in order."""

    @property
    def create(self) -> Block:
        """Makes the table unless it is there; changes nothing on replay."""
        return Block(name=f"create_{self.name}", sql=self.sql, params={})

    def add_column(self, column: str) -> Block:
        """Adds a column that an older version of the table lacks; changes nothing on replay."""
        sql = f"ALTER TABLE {self.name} ADD COLUMN IF NOT EXISTS {column} {self.columns[column]}"
        return make_block(f"add_column_{self.name}", sql, {})


def load_tables(folder: Path) -> dict[str, Table]:
    """The tables of a folder of DDL files, by name. Raises ValueError, naming the file, for one that is not as described above."""
    tables = {}
    for path in sorted(folder.glob("*.sql")):
        text = path.read_text()
        match = _TABLE.search(text)
        if match is None:
            raise ValueError(f"{path}: expected `CREATE TABLE IF NOT EXISTS name (`, a column a line, and `)`")
        columns = {}
        for line in match[2].splitlines():
            column = _COLUMN.fullmatch(line)
            if column is None:
                raise ValueError(f"{path}: cannot read the column `{line.strip()}`")
            columns[column[1]] = column[2]
        tables[match[1]] = Table(name=match[1], sql=text, columns=columns)
    return tables
