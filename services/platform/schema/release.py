"""What a release wants of the control dataset, and what a dataset lacks of it. Pure, but for reading our own files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.platform.bigquery.ddl import Table, View, load_tables, load_views
from services.platform.bigquery.sql import Block, load_blocks

MIGRATIONS = Path(__file__).with_name("migrations.sql")
STATE = "schema_state"
REPORTS = ("platform_events", "tenant_runs")
"""What operators look at. BigQuery itself deletes their days, because nothing depends on them."""
DAY_MS = 86_400_000
_MIGRATION = re.compile(r"v([1-9]\d*)_\w+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A table or view, as it is in the dataset."""

    columns: frozenset[str] = frozenset()
    """In lower case: BigQuery's column names are case-insensitive."""
    text_hash: str | None = None
    """For a view: `View.text_hash` of the DDL that made it; None if an older release made it."""
    expiration_ms: int | None = None
    """Age at which BigQuery deletes its partitions; None: never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One statement, safe to replay."""

    what: str
    """What it makes, e.g. `tenant_profiles`, `tenant_profiles.status`, `v1_proofs_of_earlier_offboardings`."""
    block: Block
    version: int | None = None
    """The dataset's version after it; None: it does not change it."""
    expires: tuple[str, int] | None = None
    """For a change of an expiration: the table, and the new age in days. The change is made by a call that needs no job; the block has the
    same meaning.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What a release wants."""

    tables: Mapping[str, Table]
    views: Mapping[str, View]
    migrations: Sequence[Block]
    report_days: int

    @classmethod
    def load(cls, configs: Path, *, report_days: int) -> "Release":
        """From the DDL in `configs` and our migrations. Raises ValueError if their numbers have a gap."""
        folder = configs / "bigquery" / "control"
        return cls(
            tables=load_tables(folder), views=load_views(folder), migrations=in_order(load_blocks(MIGRATIONS)), report_days=report_days
        )

    @property
    def version(self) -> int:
        """The version of a dataset that is up to date."""
        return len(self.migrations)

    def changes(self, found: Mapping[str, Found], *, version: int, dataset: str) -> list[Change]:
        """What brings a dataset (`project.dataset`) up to this release, in order; none for a dataset that is newer than it. `version`: the
        dataset's.
        """
        return list(self._changes(found, version, dataset)) if version <= self.version else []

    def _changes(self, found: Mapping[str, Found], version: int, dataset: str) -> Iterator[Change]:
        for name, table in self.tables.items():
            if name not in found:
                yield Change(what=name, block=table.create)
            elif missing := [column for column in table.columns if column.lower() not in found[name].columns]:
                yield Change(what=", ".join(f"{name}.{column}" for column in missing), block=table.add_columns(missing))
        for number, migration in enumerate(self.migrations, 1):
            if number > version:
                yield Change(what=migration.name, block=migration, version=number)
        for name in REPORTS:
            if name not in found or found[name].expiration_ms != self.report_days * DAY_MS:
                block = self.tables[name].expire(self.report_days)
                yield Change(what=f"{name}: kept for {self.report_days} days", block=block, expires=(name, self.report_days))
        for name, view in self.views.items():
            # Only if its text is new: replacing a view may remove the rights that accounts have on it.
            if name not in found or found[name].text_hash != view.text_hash:
                yield Change(what=name, block=view.create(dataset))


def in_order(blocks: Mapping[str, Block]) -> list[Block]:
    """Migrations by number. Raises ValueError for a name without a number, and for a gap."""
    numbers = {name: match and int(match[1]) for name in blocks for match in [_MIGRATION.fullmatch(name)]}
    if list(numbers.values()) != list(range(1, len(blocks) + 1)):
        raise ValueError(f"migrations are named v1_..., v2_... in the order of the file; found {', '.join(blocks)}")
    return list(blocks.values())
