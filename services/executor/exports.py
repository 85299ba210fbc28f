"""Which table of a tenant's project is its billing export.

Google names them `gcp_billing_export_v1_{account}` (standard) and `gcp_billing_export_resource_v1_{account}` (detailed), the account's
hyphens as underscores (Cloud Billing, "Export Cloud Billing data to BigQuery"). The detailed one holds every row of the standard one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from services.executor.failures import StepFailed
from services.executor.parameters import TABLE

PREFIX = "gcp_billing_export_"
_NAME = re.compile(r"gcp_billing_export_(?P<detailed>resource_)?(?P<account>.+)")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class TableName:
    """A table, in full. All three parts are checked or come from BigQuery itself."""

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"


def named_table(text: str, project: str) -> TableName:
    """The table that the parameter `export_table` names; without a project, in `project`. Raises StepFailed if it names none."""
    match = TABLE.fullmatch(text)
    if match is None:
        raise StepFailed("The parameter export_table must be `dataset.table` or `project.dataset.table`.")
    return TableName(project=match["project"] or project, dataset=match["dataset"], table=match["table"])


def choose_export(candidates: Iterable[TableName], project: str) -> TableName:
    """The one export among a project's tables. Raises StepFailed, saying what to do, if there is none or more than one."""
    found = {table: match for table in candidates if (match := _NAME.fullmatch(table.table))}
    detailed = {match["account"] for match in found.values() if match["detailed"]}
    left = sorted(table for table, match in found.items() if match["detailed"] or match["account"] not in detailed)
    if not left:
        raise StepFailed(
            f"No billing export was found in project {project}: no dataset that the service account can see holds a table {PREFIX}*. "
            "Turn on the Cloud Billing export to BigQuery, and grant the service account BigQuery Data Viewer on its dataset and BigQuery "
            "Read Session User on the project."
        )
    if len(left) > 1:
        names = ", ".join(str(table) for table in left)
        raise StepFailed(f"Several billing exports were found: {names}. Say which one to read with the parameter export_table.")
    return left[0]
