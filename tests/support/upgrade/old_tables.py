"""Datasets as the bootstrap and the credentials service of commit 4153373 made them, with its own DDL. `control_rows.sql` and
`tenant_rows.sql` hold rows as its services wrote them.
"""

from collections.abc import Mapping
from pathlib import Path

from google.cloud import bigquery

HERE = Path(__file__).parent
CONTROL_ROWS, TENANT_ROWS = HERE / "control_rows.sql", HERE / "tenant_rows.sql"
LABELS = {"managed-by": "convergence"}


def make_control(client: bigquery.Client, dataset: str) -> None:
    """The control dataset (`project.dataset`), without rows."""
    _make(client, dataset, HERE / "tables_4153373" / "control", LABELS)


def make_tenant(client: bigquery.Client, dataset: str) -> None:
    """A tenant's dataset, without rows; it is named by the tenant."""
    _make(client, dataset, HERE / "tables_4153373" / "tenant", {**LABELS, "tenant": dataset.rpartition(".")[2]})


def insert(client: bigquery.Client, dataset: str, rows: Path, values: Mapping[str, str]) -> None:
    """Inserts the rows of a script, whose parameters are texts."""
    parameters = [bigquery.ScalarQueryParameter(name, "STRING", value) for name, value in values.items()]
    config = bigquery.QueryJobConfig(default_dataset=dataset, query_parameters=parameters)
    client.query_and_wait(rows.read_text(), job_config=config)


def _make(client: bigquery.Client, dataset: str, folder: Path, labels: Mapping[str, str]) -> None:
    made = bigquery.Dataset(dataset)
    made.labels = dict(labels)
    client.create_dataset(made)
    # Views last: they read the tables.
    files = sorted((path.read_text() for path in folder.glob("*.sql")), key=lambda text: "VIEW" in text.splitlines()[0])
    script = ";\n".join(text.replace("${control}", dataset) for text in files)
    client.query_and_wait(script, job_config=bigquery.QueryJobConfig(default_dataset=dataset))
