"""What a check tries, and what it finds by that."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from services.clouds.access import AccessRefused, TokenOf
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


CLOSED: Final = "No identity token about another subject that resembles this tenant's was let in."
"""No more than that is known: subjects that are listed by name, e.g. another tenant's, are not found by trying."""


def refuses_others(
    name: str, probes: Mapping[str, TokenOf], come_in: Callable[[TokenOf], object], opened: Callable[[str], str]
) -> Generator[Finding | None]:
    """Comes in as each of the probes, up to the first that is let in: the setting `name` should refuse all. `opened`: the message, by the
    subject that was let in. Raises AccessRefused (retryable) if the cloud does not answer.
    """
    for subject, token_of in probes.items():
        if lets_in(partial(come_in, _needed(token_of))):
            yield Finding(name=name, status=FindingStatus.OPEN, message=opened(subject))
            return
        yield None
    yield Finding(name=name, status=FindingStatus.OK, message=CLOSED)


def lets_in(call: Callable[[], object]) -> bool:
    """Whether a call is not refused. Raises AccessRefused (retryable) if the cloud does not answer."""
    try:
        call()
    except AccessRefused as refused:
        if refused.is_retryable:
            raise
        return False
    return True


def _needed(token_of: TokenOf) -> TokenOf:
    """If there is no token, this is not a refusal by the cloud."""

    def token(audience: str) -> str:
        try:
            return token_of(audience)
        except AccessRefused as refused:
            raise AccessRefused(refused.message, is_retryable=True) from refused

    return token


def untried(name: str, message: str) -> Finding:
    """For what could not be tried."""
    return Finding(name=name, status=FindingStatus.UNKNOWN, message=message)


def missing(name: str, message: str) -> Finding:
    """For what was looked for and is not there."""
    return Finding(name=name, status=FindingStatus.MISSING, message=message)
