"""Google's own FOCUS export (Preview), if a tenant has one: its totals of some days, to compare ours with.

`gcp_billing_export_focus_{account}` in a dataset `gcp_billing_immutable_{account}_{location}`, which Google makes in the project that was
named when the export was turned on. BilledCost is NUMERIC, net of all credits; ChargePeriodStart is a TIMESTAMP, BillingCurrency a STRING.
"""

from typing import Final

from services.executor.errors import StepError
from services.executor.records import Period
from services.executor.sources.gcp.bigquery import GcpBilling
from services.executor.sources.gcp.exports import MAX_NAMED, TableName, is_focus_table
from services.executor.sources.source import CheckCancelled, FocusReport

MAX_BYTES: Final = 10 * 2**30
"""Maximum bytes that one comparison may read, in the tenant's project and at the tenant's expense."""
_GIB: Final = 2**30


def focus_report(cloud: GcpBilling, period: Period, check_cancelled: CheckCancelled) -> FocusReport:
    """Its totals, by one query job limited to MAX_BYTES. Blocks. Raises StepError; what `check_cancelled` raises."""
    table, size = measured(cloud, period, check_cancelled)
    if size > MAX_BYTES:
        raise StepError(
            f"For these days {size / _GIB:,.1f} GiB of {table} would have to be read, and at most {MAX_BYTES / _GIB:.0f} GiB are. "
            "Run fewer days."
        )
    totals = cloud.focus_totals(table, period, MAX_BYTES, check_cancelled)
    return FocusReport(table=str(table), note=f"BilledCost was compared with {table}.", totals=tuple(totals))


def measured(cloud: GcpBilling, period: Period, check_cancelled: CheckCancelled) -> tuple[TableName, int]:
    """The project's FOCUS export, and the bytes that a query for its totals would read. Raises StepError unless there is exactly one."""
    listing = cloud.list_tables(check_cancelled)
    found = [one.name for one in sorted(listing.tables) if is_focus_table(one)]
    if len(found) > 1:
        raise StepError(f"Project {cloud.project} has several FOCUS exports: {', '.join(str(name) for name in found[:MAX_NAMED])}.")
    if not found:
        hidden = f" The service account may not list the tables of {', '.join(listing.hidden[:MAX_NAMED])}." if listing.hidden else ""
        raise StepError(
            f"No FOCUS export of Google's (a table gcp_billing_export_focus_*) was found in project {cloud.project}.{hidden} "
            "Where there is one, grant the service account BigQuery Data Viewer on its dataset."
        )
    return found[0], cloud.focus_size(found[0], period)
