"""Recognises the billing exports among the tables of a tenant's project by their names, and other tables beside them.

Google names them (Cloud Billing, "Billing data tables"): usage cost `gcp_billing_export_v1_{account}` (standard) and
`gcp_billing_export_resource_v1_{account}` (detailed), FOCUS `gcp_billing_export_focus_{account}` in a dataset
`gcp_billing_immutable_{account}_{location}`, prices `cloud_pricing_export`, commitments `cud_subscriptions_export`; the account's hyphens
are underscores. Only usage cost is read here.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.clouds.gcp.refusals import no_usage_export
from services.executor.errors import StepError
from services.platform.identifiers import TABLE

TIME, COST, CURRENCY, EXPORTED = "usage_start_time", "cost", "currency", "export_time"
"""Columns of usage cost exports. Every such export has a time and a cost. `export_time` is when Google appended the row; it grows with
every append (Cloud Billing, "Structure of Standard data export").
"""
WANTED = "gcp_billing_export_v1_* or gcp_billing_export_resource_v1_*"
MAX_NAMED = 8
"""Tables named in an error message."""

_ACCOUNT = "[0-9A-F]{6}(_[0-9A-F]{6}){2}"
_USAGE = re.compile(r"gcp_billing_export_(?P<detailed>resource_)?v1_(?P<account>\w+)", re.ASCII)
_FOCUS = re.compile(rf"gcp_billing_export_focus_{_ACCOUNT}")
_TYPES = {
    "VIEW": "a view",
    "MATERIALIZED_VIEW": "a materialized view",
    "EXTERNAL": "an external table",
    "SNAPSHOT": "a snapshot of a table",
}


class ExportKind(StrEnum):
    """The kind of a table with billing data."""

    STANDARD = "a standard usage cost export"
    DETAILED = "a detailed usage cost export"
    FOCUS = "Google's FOCUS export"
    PRICING = "a pricing export"
    COMMITMENTS = "an export of committed use discounts"
    OTHER = "no export that Google documents"

    @property
    def is_usage(self) -> bool:
        """True if this kind is read here."""
        return self in {ExportKind.STANDARD, ExportKind.DETAILED}


_OTHERS = (
    (re.compile(r"gcp_billing_export_focus_.*|gcp_billing_immutable_.*"), ExportKind.FOCUS),
    (re.compile(r"cloud_pricing_export.*"), ExportKind.PRICING),
    (re.compile(r"cud_.*_?export.*"), ExportKind.COMMITMENTS),
    (re.compile(r"gcp_billing_export_.*"), ExportKind.OTHER),
)
_COLUMNS = (
    ({"billedcost", "chargeperiodstart"}, ExportKind.FOCUS),
    ({"pricing_as_of_time"}, ExportKind.PRICING),
    ({"cud_product", "subscription"}, ExportKind.COMMITMENTS),
)


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class TableName:
    """A fully qualified table. All three parts are checked or come from BigQuery itself."""

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Listed:
    """A table as listed in a dataset."""

    name: TableName
    type: str
    """BigQuery's type: TABLE, VIEW, MATERIALIZED_VIEW, EXTERNAL, SNAPSHOT."""

    @property
    def is_table(self) -> bool:
        """True if it has rows of its own, which the Storage Read API can read."""
        return self.type == "TABLE"

    @property
    def kind(self) -> ExportKind | None:
        """By its name; None if the name does not look like billing data."""
        return kind_of_name(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exports:
    """The usage cost exports of one billing account."""

    table: TableName
    """The detailed export, or the only one."""
    standard: TableName | None
    """The standard export, if there is also a detailed one."""


def named_table(text: str, project: str) -> TableName:
    """The table named by the parameter `export_table`; without a project, in `project`. Raises StepError if it is no table name."""
    match = TABLE.fullmatch(text)
    if match is None:
        raise StepError("The parameter export_table must be `dataset.table` or `project.dataset.table`.")
    return TableName(project=match["project"] or project, dataset=match["dataset"], table=match["table"])


def kind_of_name(name: TableName) -> ExportKind | None:
    """The kind of a table by its name; None if the name does not look like billing data."""
    if match := _USAGE.fullmatch(name.table):
        return ExportKind.DETAILED if match["detailed"] else ExportKind.STANDARD
    return next((kind for pattern, kind in _OTHERS if pattern.fullmatch(name.table) or pattern.fullmatch(name.dataset)), None)


def is_focus_table(listed: Listed) -> bool:
    """True if the table is Google's FOCUS export, by its name."""
    return listed.is_table and _FOCUS.fullmatch(listed.name.table) is not None


def is_usage(columns: Collection[str]) -> bool:
    """True if a table with these columns can be read as a usage cost export. Names match in any case, as in BigQuery."""
    return {TIME, COST} <= {column.lower() for column in columns}


def check_usage(name: TableName, columns: Mapping[str, str]) -> None:
    """Raises StepError, saying what the table is and what to name instead, unless its columns (name to BigQuery's type) are those of a
    usage cost export.
    """
    types = {column.lower(): kind for column, kind in columns.items()}
    if is_usage(types):
        if types[TIME] != "TIMESTAMP":
            raise StepError(
                f"Table {name} is no billing export: its column {TIME} is {types[TIME]}, where exports have TIMESTAMP. "
                "Cast it in the copy, or name the export that Google writes with export_table."
            )
        return
    kind = next((kind for some, kind in _COLUMNS if some <= types.keys()), kind_of_name(name))
    if kind in {ExportKind.FOCUS, ExportKind.PRICING, ExportKind.COMMITMENTS}:
        raise StepError(
            f"Table {name} is {kind}, no usage cost export. Name a standard or detailed usage cost export ({WANTED}) with export_table, or "
            "leave it out."
        )
    raise StepError(no_usage_export(str(name)))


def choose_exports(listed: Iterable[Listed]) -> Exports | None:
    """The exports of the one account among a project's tables; None if there is none. Raises StepError, naming them, if there are several
    accounts, or several exports of one account.

    A name that has more after the account's id is a copy: it is used only if there is no other.
    """
    found = [(one.name, match) for one in sorted(listed) if one.is_table and (match := _USAGE.fullmatch(one.name.table))]
    found = [(name, match) for name, match in found if re.fullmatch(_ACCOUNT, match["account"])] or found
    detailed = [name for name, match in found if match["detailed"]]
    standard = [name for name, match in found if not match["detailed"]]
    if len({match["account"] for _, match in found}) > 1 or len(detailed) > 1 or len(standard) > 1:
        names = ", ".join(str(name) for name, _ in found)
        raise StepError(f"Several billing exports were found: {names}. Say which one to read with the parameter export_table.")
    if not found:
        return None
    return Exports(table=(detailed or standard)[0], standard=standard[0] if standard and detailed else None)


def nothing_found(project: str, beside: Sequence[Listed], hidden: Sequence[str]) -> StepError:
    """The error for a project without a usage cost export. `beside`: other tables that look like billing data; `hidden`: datasets whose
    tables the service account may not list.
    """
    sentences = [f"No billing export was found in project {project}: no dataset that the service account can see holds a table {WANTED}."]
    if beside:
        more = len(beside) - MAX_NAMED
        names = [f"{one.name} ({_description(one)})" for one in sorted(beside)[:MAX_NAMED]]
        sentences.append(f"What was found: {', '.join(names)}{f' and {more} more' if more > 0 else ''}.")
    if any(not one.is_table and (one.kind is None or one.kind.is_usage) for one in beside):
        sentences.append("A view is read only where export_table names it.")
    if hidden:
        sentences.append(f"The service account may not list the tables of {', '.join(hidden[:MAX_NAMED])}.")
    sentences.append(
        "Turn on the Cloud Billing export of standard or detailed usage cost to BigQuery, and grant the service account BigQuery Data "
        f"Viewer on its dataset and BigQuery Read Session User on project {project}. If the export is in another project, name it with the "
        "parameter export_table = project.dataset.table."
    )
    return StepError(" ".join(sentences))


def _description(one: Listed) -> str:
    if one.is_table:
        return one.kind or ExportKind.OTHER
    what = _TYPES.get(one.type, "no table")
    if one.kind is None:
        return f"{what} with a usage cost export's columns"
    return what if one.kind.is_usage else f"{what}, by its name {one.kind}"
