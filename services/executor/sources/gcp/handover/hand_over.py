"""Leaves a large export to BigQuery, with the tenant's own identity and at the tenant's expense.

One query adds up what the export holds of the run's days, and returns the time of its reading by BigQuery's clock. A second query, as of
the same time, flattens the rows into a table of the dataset `convergence_handover` in the tenant's project. The executor's own account may
read this dataset, so it copies the table, for free, to a place where only this account may write. It reads nothing else in a tenant's
project.
"""

import contextlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from google.api_core import exceptions as google
from google.cloud import bigquery

from services.clouds.gcp.refusals import Role
from services.executor.errors import StepError
from services.executor.sources.gcp.at_once import each
from services.executor.sources.gcp.bigquery import LABELS, GcpBilling
from services.executor.sources.gcp.export_rows import is_by_ingestion
from services.executor.sources.gcp.export_source import ExportPart
from services.executor.sources.gcp.exports import TableName
from services.executor.sources.gcp.handover.flatten_sql import NOW, and_its_moment, day_totals, flattened, rows_of
from services.executor.sources.gcp.query_jobs import RETRY, SECONDS, wait_for
from services.executor.sources.source import CheckCancelled, HandedOver
from services.executor.staging.shape import LIFE, StagingTable
from services.platform.tracing.bigquery import asked

DATASET: Final = "convergence_handover"
"""The tenant's dataset through which rows of exports are copied. If a tenant has no such dataset, its exports are read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DaySums:
    """What an export held of one UTC day."""

    rows: int
    cost: float
    credits: float
    exported_to: datetime | None
    """The greatest export time; None: the rows have none."""


def hand_over(
    cloud: GcpBilling,
    parts: Sequence[ExportPart],
    table: StagingTable,
    place: Callable[[], str],
    check_cancelled: CheckCancelled,
    *,
    more_than: int,
) -> tuple[HandedOver, Mapping[date, DaySums]] | None:
    """The rows, with the columns of `table`, in a table of the tenant's project, and their sums. None if there are at most `more_than`
    rows, or views among the exports. `place`: the location of `table`. Blocks. Raises StepError if it is not possible: then nothing has
    happened. Raises what `check_cancelled` raises.
    """
    if any(cloud.described(part.table).table_type != "TABLE" for part in parts):
        return None
    estimates = each(range(len(parts)), lambda number: cloud.estimate(parts[number].table, None, parts[number].rows))
    if sum(one.rows for one in estimates.values()) <= more_than:
        return None
    location = _common_place(cloud, parts, place())
    columns = [flattened(cloud.described(part.table).schema, table.shape.arrow, part.table) for part in parts]
    as_of, sums = NOW, dict[date, DaySums]()
    for part in parts:
        sql = f"{_select(cloud, part, day_totals(cloud.described(part.table).schema), as_of)} GROUP BY day"
        sql = and_its_moment(sql) if as_of == NOW else sql
        config = bigquery.QueryJobConfig(use_query_cache=False)
        job = _run(cloud, sql, "handover_totals", config, location, check_cancelled)
        with cloud.translate_errors(f"table {part.table}", Role.JOB_USER):
            found = {row["day"]: _sums(row) for row in job.result(timeout=SECONDS, retry=RETRY, job_retry=None)}
        if (moment := found.pop(None, None)) is not None and moment.exported_to is not None:
            as_of = f"TIMESTAMP '{moment.exported_to.astimezone(UTC).isoformat(' ')}'"
        sums |= found
    count = sum(one.rows for one in sums.values())
    if count <= more_than:
        return None
    made = _make(cloud, table)
    handed = HandedOver(table=str(made.reference), rows=count, discard=lambda: _discard(cloud, made))
    try:
        config = bigquery.QueryJobConfig(destination=made.reference, write_disposition="WRITE_EMPTY", create_disposition="CREATE_NEVER")
        selects = (_select(cloud, part, each_column, as_of) for part, each_column in zip(parts, columns, strict=True))
        _run(cloud, " UNION ALL ".join(selects), "hand_over", config, location, check_cancelled)
    except BaseException:
        handed.discard()
        raise
    return handed, sums


def _common_place(cloud: GcpBilling, parts: Sequence[ExportPart], staging: str) -> str:
    """The location of the exports, the dataset and the staging table. It must be one: a query or a copy sees only one location."""
    with cloud.translate_errors(f"dataset {DATASET}", Role.DATA_VIEWER), asked("get_dataset"):
        try:
            dataset = cloud.client.get_dataset(f"{cloud.project}.{DATASET}", timeout=SECONDS, retry=RETRY)
        except (google.NotFound, google.Forbidden) as error:
            raise StepError(f"Project {cloud.project} has no dataset {DATASET} that the service account can see.") from error
    places = {str(cloud.location(part.table)) for part in parts} | {str(dataset.location), staging}
    if len(places) > 1:
        raise StepError(
            f"The export, the dataset {DATASET} and this tenant's data are not all in one location: {', '.join(sorted(places))}."
        )
    return places.pop()


def _select(cloud: GcpBilling, part: ExportPart, columns: str, as_of: str) -> str:
    found = cloud.described(part.table)
    return f"SELECT {columns} {rows_of(part, by_ingestion=is_by_ingestion(found), as_of=as_of)}"


def _make(cloud: GcpBilling, table: StagingTable) -> bigquery.Table:
    """The table for the rows, empty. BigQuery drops it after a day, whatever happens."""
    # An earlier try may still be writing its own.
    name = TableName(project=cloud.project, dataset=DATASET, table=f"{table.name}_{uuid.uuid4().hex[:8]}")
    cloud.refuse_ours(name)
    made = bigquery.Table(str(name), schema=table.shape.bigquery)
    made.expires = datetime.now(UTC) + LIFE
    with cloud.translate_errors(f"dataset {DATASET}", Role.DATA_VIEWER), asked("create_table"):
        return cloud.client.create_table(made, exists_ok=True, timeout=SECONDS, retry=RETRY)


def _discard(cloud: GcpBilling, made: bigquery.Table) -> None:
    with contextlib.suppress(Exception), asked("delete_table"):  # it expires by itself
        cloud.client.delete_table(made, not_found_ok=True, timeout=SECONDS, retry=RETRY)


def _run(
    cloud: GcpBilling, sql: str, statement: str, config: bigquery.QueryJobConfig, location: str, check_cancelled: CheckCancelled
) -> bigquery.QueryJob:
    with cloud.translate_errors("the export, by a query", Role.JOB_USER), asked(statement):
        config.labels = {**LABELS, "statement": statement, **cloud.meter.labels}
        if (most := cloud.meter.max_query_bytes()) is not None:
            config.maximum_bytes_billed = most
        job = cloud.begin(sql, config, location)
        wait_for(job, check_cancelled, cloud.meter)
        return job


def _sums(row: Any) -> DaySums:
    sums = {name: float(row[name] or 0.0) for name in ("cost", "credits")}
    return DaySums(rows=row["row_count"], exported_to=row["exported_to"], **sums)
