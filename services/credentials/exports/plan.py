"""Which table is exported whereto, by which job. Pure."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

STAGING: Final = "x_staging_"
"""What runs have left of their work, which BigQuery drops by itself."""
FILES: Final = "*.json.gz"
"""BigQuery writes a table larger than 1 GB into several files, and numbers them in place of the star."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of the dataset, as BigQuery describes it."""

    name: str
    rows: int
    modified: datetime
    is_settling: bool
    """Some of its rows were streamed a short time ago: BigQuery would leave them out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A table whose rows are all in the bucket."""

    table: str
    rows: int
    uri: str


def is_exported(name: str, kind: str) -> bool:
    """A table of the dataset; `kind` is BigQuery's word. Views have no rows of their own."""
    return kind == "TABLE" and not name.startswith(STAGING)


def uri_of(prefix: str, table: Table) -> str:
    """Its files. They are named after the state that the table was in: another state's never mix with them."""
    state = table.modified.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")[:-3]
    return f"{prefix}/{table.name}/{state}Z-{FILES}"


def job_id(dataset: str, uri: str, number: int) -> str:
    """The id of the `number`-th job (from 1) that exports to this URI: a call that is repeated finds the job of the one before. A job that
    has failed is followed by the next number.
    """
    return f"export_{uuid.uuid5(uuid.NAMESPACE_URL, f'{dataset} {uri}').hex}_{number}"


def exported(prefix: str, tables: Sequence[Table]) -> list[Exported]:
    """The answer, once all their jobs have ended well."""
    return [Exported(table=one.name, rows=one.rows, uri=uri_of(prefix, one)) for one in tables]
