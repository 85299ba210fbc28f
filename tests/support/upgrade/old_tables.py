"""Datasets as the bootstrap and the credentials service of commit 4153373 made them, with its own DDL. `control_rows.sql` and
`tenant_rows.sql` hold rows as its services wrote them.
"""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from google.cloud import bigquery

from services.scheduler.ids import pipeline_logging_id

HERE = Path(__file__).parent
CONTROL_ROWS, TENANT_ROWS = HERE / "control_rows.sql", HERE / "tenant_rows.sql"
LABELS = {"managed-by": "convergence"}


@dataclass(frozen=True, kw_only=True, slots=True)
class OldIds:
    """What the rows of a tenant are called."""

    tenant_id: str
    api_key_hash: str
    waiting: str
    """A run that waits in the queue."""
    claimed: str
    """The run that a scheduler had claimed when it died."""
    scheduled: str
    """Its first attempt, which an executor was executing when it died."""
    called: str
    """A run that a call had started there."""
    ended: str
    """A run that had COMPLETED."""

    @classmethod
    def of(cls, tenant_id: str, *, api_key_hash: str) -> Self:
        """Ids as the services of that commit derived them, of a run's attempt from the run."""
        waiting, claimed, called, ended = (str(uuid.uuid5(uuid.NAMESPACE_URL, f"{tenant_id}/{name}")) for name in "abcd")
        return cls(
            tenant_id=tenant_id,
            api_key_hash=api_key_hash,
            waiting=waiting,
            claimed=claimed,
            scheduled=pipeline_logging_id(claimed, 1),
            called=called,
            ended=ended,
        )


def make_control(client: bigquery.Client, dataset: str) -> None:
    """The control dataset (`project.dataset`), without rows."""
    _make(client, dataset, HERE / "tables_4153373" / "control", LABELS)


def make_tenant(client: bigquery.Client, dataset: str) -> None:
    """A tenant's dataset, without rows; it is named by the tenant."""
    _make(client, dataset, HERE / "tables_4153373" / "tenant", {**LABELS, "tenant": dataset.rpartition(".")[2]})


def insert(client: bigquery.Client, dataset: str, rows: Path, ids: OldIds) -> None:
    """Inserts the rows of a script."""
    sql = rows.read_text()
    parameters = [bigquery.ScalarQueryParameter(name, "STRING", value) for name, value in asdict(ids).items() if f"@{name}" in sql]
    config = bigquery.QueryJobConfig(default_dataset=dataset, query_parameters=parameters)
    client.query_and_wait(sql, job_config=config)


def _make(client: bigquery.Client, dataset: str, folder: Path, labels: Mapping[str, str]) -> None:
    made = bigquery.Dataset(dataset)
    made.labels = dict(labels)
    client.create_dataset(made)
    # Views last: they read the tables.
    files = sorted((path.read_text() for path in folder.glob("*.sql")), key=lambda text: "VIEW" in text.splitlines()[0])
    script = ";\n".join(text.replace("${control}", dataset) for text in files)
    client.query_and_wait(script, job_config=bigquery.QueryJobConfig(default_dataset=dataset))
