"""What processes of the last release rely on of our tables: `python -m tools.table_contract` writes it into `releases/`, for `make
release-contract`. `tests/unit/sql/test_released_tables.py` holds later DDL to it.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from services.platform.bigquery.ddl import load_tables

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("control", "tenant")
_LAYOUT = re.compile(r"^(?:PARTITION|CLUSTER) BY [^;\n]+", re.MULTILINE)
_NOT_NULL = re.compile(r"^\s*(\w+) .* NOT NULL,?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableShape:
    """A table, without what may change."""

    columns: dict[str, str]
    """Name to type, in order."""
    required: list[str]
    """Those that are NOT NULL."""
    layout: list[str]
    """How it is partitioned and clustered."""


def shapes(folder: Path) -> dict[str, TableShape]:
    """Of the DDL below a folder such as `configs/bigquery`, by `folder/table`."""
    return {
        f"{part}/{name}": TableShape(columns=table.columns, required=_NOT_NULL.findall(table.sql), layout=_LAYOUT.findall(table.sql))
        for part in FOLDERS
        for name, table in load_tables(folder / part).items()
    }


def breaks(old: Mapping[str, TableShape], new: Mapping[str, TableShape]) -> Iterator[str]:
    """What of the new tables would break processes that know the old ones, or cannot be reached from these by adding columns."""
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            yield f"{name} is gone"
            continue
        if list(after.columns.items())[: len(before.columns)] != list(before.columns.items()):
            yield f"{name}: a column is gone, or has another type or place; new ones go to the end"
        if after.required != before.required:
            yield f"{name}: a column may be NULL that could not, or the other way round; a new one must be nullable"
        if after.layout != before.layout:
            yield f"{name}: is partitioned or clustered otherwise, which a table that exists cannot become"


def released(version: str) -> dict[str, TableShape]:
    """Of a release."""
    found = json.loads((ROOT / "releases" / version / "tables.json").read_text())
    return {name: TableShape(**shape) for name, shape in found.items()}


def main() -> None:
    """Writes the tables of this version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    target = ROOT / "releases" / version.rpartition(".")[0] / "tables.json"
    tables = {name: asdict(shape) for name, shape in shapes(ROOT / "configs" / "bigquery").items()}
    target.write_text(json.dumps(tables, indent=1) + "\n")
    print(f"{target.relative_to(ROOT)}: {len(tables)} tables")


if __name__ == "__main__":
    main()
