"""How the runs of an offboarded tenant end, what the proof counts, and what a call may ask for. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.platform.errors import InvalidArgument
from services.scheduler.queue.claims import Claim
from services.scheduler.queue.outcomes import AttemptState, End, RetryPolicy, completed, failed

OFFBOARDED = "The tenant was offboarded."
NEVER_AGAIN = RetryPolicy(base=timedelta(0), cap=timedelta(0))
FATES = {"KEEP": False, "DELETE": True}
"""What may be asked for the dataset, and whether it is deleted."""

EXPORT_URI: Final = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/(?!\.\.?(/|$))[A-Za-z0-9._=-]+)*/?")
"""Without `.` and `..`, which are names of folders like any other to Cloud Storage, and lead elsewhere in a file system."""
EXPORT_URI_LENGTH: Final = 700
"""An object's name has 1,024 characters at most; the tables' names and the files' come behind it."""


KEPT: Final = "KEPT"
DELETED: Final = "DELETED"
ABSENT: Final = "ABSENT"
DELETING: Final = "DELETING"
"""What has become of a dataset; the last stands in the row of a call that was about to delete it, until it has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedRows:
    """A table that is exported."""

    table_name: str
    row_count: int
    uri: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What one call has ended of a tenant."""

    closed_at: datetime
    """When its keys stopped working, by the first call."""
    keys_revoked: int
    schedules_stopped: int
    runs_dropped: int
    runs_cancelled: int
    credentials_destroyed: tuple[str, ...]
    """Providers."""
    dataset: str | None
    """KEPT, DELETED or ABSENT; None: the call broke off before."""
    export_uri: str = ""
    exported: tuple[ExportedRows, ...] = ()
    """What is at `export_uri` now, also by earlier calls."""

    def covers(self, dataset: str, *, delete_dataset: bool) -> bool:
        """Whether a call has nothing left to do after this one. `dataset`: what there is of it now, KEPT or ABSENT."""
        if dataset == ABSENT:
            return self.dataset in {ABSENT, DELETED}
        return self.dataset == KEPT and not delete_dataset


def end_of(claim: Claim, state: AttemptState, now: datetime) -> End | None:
    """The end of a claimed run; it is never tried again. None: its executor is still putting its work away. A run whose record cannot be
    read has FAILED: what is unreadable must not keep a tenant's credentials from being destroyed.
    """
    match state.status:
        case "RUNNING":
            return None
        case "COMPLETED":
            return completed(claim)
        case "FAILED" | "CANCELLED":
            return failed(claim, state.error_message or OFFBOARDED, NEVER_AGAIN, now=now, chance=0.0, is_final=True)
        case status:
            return failed(claim, OFFBOARDED, NEVER_AGAIN, now=now, chance=0.0, is_final=True, began=bool(status))


def deletes_dataset(tenant_id: str, *, confirm: str, dataset: str) -> bool:
    """Whether a request wants the dataset deleted. Raises InvalidArgument unless it is confirmed and says so."""
    if confirm != tenant_id:
        raise InvalidArgument("confirm", "repeat the tenant_id here: offboarding is final.")
    if dataset not in FATES:
        raise InvalidArgument("dataset", "use KEEP or DELETE.")
    return FATES[dataset]


def export_prefix(export_uri: str) -> str:
    """Where a request wants the dataset exported to, without a slash at the end; empty: nowhere. Raises InvalidArgument."""
    if export_uri and (len(export_uri) > EXPORT_URI_LENGTH or not EXPORT_URI.fullmatch(export_uri)):
        raise InvalidArgument(
            "export_uri",
            "write a bucket (three letters or more) and a folder like gs://bucket/acme_corp, with letters, digits and ._=- only, no . or "
            f".., at most {EXPORT_URI_LENGTH} characters.",
        )
    return export_uri.removesuffix("/")
