"""What a check tries, and what it finds by that."""

from collections.abc import Callable
from dataclasses import dataclass

from services.clouds.access import AccessRefused
from services.clouds.findings import Finding, FindingStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt[Answer]:
    """What came of a call."""

    finding: Finding
    answer: Answer | None
    """None if it was refused."""

    @property
    def worked(self) -> bool:
        """True if it was not refused."""
        return self.finding.status is FindingStatus.OK


def attempt[Answer](name: str, call: Callable[[], Answer], works: str, *, is_entrance: bool = False) -> Attempt[Answer]:
    """Makes a call, which needs the permission or setting `name`; a refusal may name another one. `works`: the message of a call that is
    not refused. Raises AccessRefused (retryable) if the cloud does not answer.
    """
    try:
        answer = call()
    except AccessRefused as refused:
        if refused.is_retryable:
            raise
        finding = Finding(name=refused.setting or name, status=FindingStatus.MISSING, message=refused.message, is_entrance=is_entrance)
        return Attempt(finding=finding, answer=None)
    return Attempt(finding=Finding(name=name, status=FindingStatus.OK, message=works, is_entrance=is_entrance), answer=answer)


def refuses_others(name: str, call: Callable[[], object], *, closed: str, opened: str) -> Finding:
    """Makes a call as another than the tenant, which the setting `name` should refuse. Raises AccessRefused (retryable) if the cloud does
    not answer.
    """
    try:
        call()
    except AccessRefused as refused:
        if refused.is_retryable:
            raise
        return Finding(name=name, status=FindingStatus.OK, message=closed)
    return Finding(name=name, status=FindingStatus.OPEN, message=opened)


def untried(name: str, message: str) -> Finding:
    """For what could not be tried."""
    return Finding(name=name, status=FindingStatus.UNKNOWN, message=message)


def missing(name: str, message: str) -> Finding:
    """For what was looked for and is not there."""
    return Finding(name=name, status=FindingStatus.MISSING, message=message)
