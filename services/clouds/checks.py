"""Checks what a tenant's access to its cloud may do, before it is stored or a run needs it.

A cloud's check makes a handful of calls, each with a deadline, and writes nothing. It tries what a run does, with the same rights, and
also whether others than the tenant would be let in: such access is refused as open.
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Final

from services.clouds.access import AccessRefused, TenantAccess
from services.clouds.findings import AccessReport, Finding, FindingStatus
from services.clouds.own_resources import NOT_YOURS

CHECK_SECONDS: Final = 20.0
"""The most seconds that a check takes before its last call."""
CALL_SECONDS: Final = 8.0
"""How long a call may be without an answer."""

type AccessCheck = Callable[[TenantAccess, str | None], Generator[Finding | None]]
"""From access, and the export's location as templates take it (None: not known), to findings, each as it is made; None between calls that
make one finding together. Blocks. Raises AccessRefused: retryable if the cloud does not answer, else if it does not let us in;
InvalidArgument (`export`) for a location that is none.
"""


def _gcp() -> AccessCheck:
    from services.clouds.gcp.check import check_gcp  # noqa: PLC0415 - see CHECKS

    return check_gcp


def _aws() -> AccessCheck:
    from services.clouds.aws.check import check_aws  # noqa: PLC0415 - see CHECKS

    return check_aws


def _azure() -> AccessCheck:
    from services.clouds.azure.check import check_azure  # noqa: PLC0415 - see CHECKS

    return check_azure


CHECKS: Final[Mapping[str, Callable[[], AccessCheck]]] = {"GCP": _gcp, "AWS": _aws, "AZURE": _azure}
"""By provider. A cloud is imported with the first check of it."""


def check_access(
    access: TenantAccess,
    export: str | None,
    *,
    check_cancelled: Callable[[], None] = lambda: None,
    monotonic: Callable[[], float] = time.monotonic,
) -> AccessReport:
    """Checks access, and the reading of `export` if that is given. Blocks for at most CHECK_SECONDS and the deadline of a call.

    Raises InvalidArgument (`export`); what `check_cancelled` raises, which is called between the calls.
    """
    if (ours := _of_own(access, export)) is not None:
        return AccessReport(findings=(ours,))
    until, findings = monotonic() + CHECK_SECONDS, list[Finding]()
    with closing(CHECKS[access.provider]()(replace(access, call_seconds=CALL_SECONDS), export)) as found:
        try:
            for finding in found:
                if finding:
                    findings.append(finding)
                check_cancelled()
                if monotonic() > until:
                    return AccessReport(findings=tuple(findings), is_complete=False)
        except AccessRefused as refused:
            status = FindingStatus.UNKNOWN if refused.is_retryable else FindingStatus.MISSING
            findings.append(Finding(name="credentials", status=status, message=refused.message, is_entrance=True))
            return AccessReport(findings=tuple(findings), is_complete=not refused.is_retryable)
    return AccessReport(findings=tuple(findings))


def _of_own(access: TenantAccess, export: str | None) -> Finding | None:
    """What is missing if the credentials or the export are of this installation's own; then its cloud is not called at all."""
    own = access.endpoints.own
    if field := own.field_of(access.provider, access.plaintext):
        return Finding(name="credentials", status=FindingStatus.MISSING, message=f"Their {field} {NOT_YOURS}", is_entrance=True)
    if export and own.has_export(access.provider, export):
        return Finding(name="export", status=FindingStatus.MISSING, message=f"`export` {NOT_YOURS}")
    return None
