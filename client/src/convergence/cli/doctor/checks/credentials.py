"""Whether a tenant's stored credentials still work, and its notifications arrive."""

from collections.abc import Iterable

from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.installation import Installation
from convergence.cli.doctor.not_checked import NotChecked
from convergence.client import errors
from convergence.credentials.v1.credential_pb2 import Credential

_STOPPED = frozenset({"LACKS", "REFUSED", "OPEN"})
_NOT_DELIVERED = frozenset({"REFUSED", "FAILED"})


def look(installation: Installation) -> list[Finding]:
    """Lists what is stored of the profile's tenant, with what the last check and the last delivery found."""
    connection = installation.connection
    if not ((connection.credentials.api_key or connection.credentials.token) and connection.tenant_id):
        raise NotChecked("the profile has no API key and tenant (convergence login)")
    try:
        return judge(list(installation.calls.credentials.list()))
    except (errors.PermissionDenied, errors.Unauthenticated):
        raise NotChecked("the API key is refused") from None


def judge(stored: Iterable[Credential]) -> list[Finding]:
    """Pure."""
    found = []
    for one in stored:
        provider = one.provider.lower()
        if one.access_status in _STOPPED:
            found.append(
                Finding(
                    name="credentials-not-working",
                    subject=one.provider,
                    problem=f"The {one.provider} credentials no longer work ({one.access_status}): {one.access_problem}",
                    mend=f"convergence credentials check {provider}   # or others: convergence credentials set {provider} --file FILE",
                )
            )
        if one.delivery_status in _NOT_DELIVERED:
            found.append(
                Finding(
                    name="notifications-not-arriving",
                    subject=one.provider,
                    problem=f"The last notification to {one.provider} was {one.delivery_status}: {one.delivery_problem}",
                    mend=f"convergence credentials test {provider}   # or another: convergence credentials set {provider} --file FILE",
                )
            )
    return found
