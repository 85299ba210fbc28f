"""What a check of a tenant's access finds: findings by the cloud's own names, and the verdict. Pure."""

from dataclasses import dataclass
from enum import StrEnum

MAX_PROBLEM = 1_500
"""Characters of `AccessReport.problem`."""


class FindingStatus(StrEnum):
    """What is known about one permission or setting."""

    OK = "OK"
    MISSING = "MISSING"
    """The cloud refuses it, or it is not there."""
    OPEN = "OPEN"
    """It lets in others than this tenant, too."""
    UNKNOWN = "UNKNOWN"
    """It could not be tried, or the cloud did not answer."""


class AccessVerdict(StrEnum):
    """The result of a check."""

    WORKS = "WORKS"
    LACKS = "LACKS"
    """The cloud lets us in, but something that a run needs is missing."""
    REFUSED = "REFUSED"
    """The cloud does not let us in."""
    OPEN = "OPEN"
    """Others than this tenant could use the access; it must not be used before that is mended."""
    UNKNOWN = "UNKNOWN"
    """The cloud did not answer in time: nothing is known, and a check in a moment may say more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One permission or setting of the tenant's cloud."""

    name: str
    """As the cloud calls it, e.g. bigquery.tables.getData, s3:GetObject, Storage Blob Data Reader."""
    status: FindingStatus
    message: str
    """For the tenant: what to do in that cloud's console or command line; of OK what works. No secrets, none of the cloud's own text."""
    is_entrance: bool = False
    """True if nothing can be tried without it, e.g. the key itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessReport:
    """The result of a check."""

    findings: tuple[Finding, ...]
    """In the order in which they were tried."""
    is_complete: bool = True
    """False: the cloud did not answer in time, and what comes after the last finding was not tried."""

    @property
    def verdict(self) -> AccessVerdict:
        """The worst of the findings. Being open is worse than being refused: the access works, also for others."""
        missing = [finding for finding in self.findings if finding.status is FindingStatus.MISSING]
        if any(finding.status is FindingStatus.OPEN for finding in self.findings):
            return AccessVerdict.OPEN
        if any(finding.is_entrance for finding in missing):
            return AccessVerdict.REFUSED
        if missing:
            return AccessVerdict.LACKS
        return AccessVerdict.WORKS if self.is_complete else AccessVerdict.UNKNOWN

    @property
    def problem(self) -> str | None:
        """What is to be mended, in sentences; None if nothing is known to be."""
        messages = dict.fromkeys(
            finding.message for finding in self.findings if finding.status in {FindingStatus.MISSING, FindingStatus.OPEN}
        )
        return " ".join(messages)[:MAX_PROBLEM] or None

    def names(self, status: FindingStatus) -> list[str]:
        """The names of the findings of this status."""
        return [finding.name for finding in self.findings if finding.status is status]
