"""Whether the API key works, and for the tenant that the profile names."""

from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.installation import Installation
from convergence.cli.doctor.not_checked import NotChecked
from convergence.client import ConvergenceError

_FINDINGS = {
    "API_KEY_INVALID": (
        "api-key-refused",
        "The API key is not valid: mistyped, expired, revoked, or of another installation.",
        "convergence keys create --tenant {tenant} --out FILE && convergence login --key-file FILE   # an operator makes it",
    ),
    "TOKEN_INVALID": (
        "api-key-refused",
        "The token has expired, was revoked with its key, or is of another installation.",
        "convergence login   # with an API key, or with CONVERGENCE_TOKEN set to a new token",
    ),
    "TENANT_MISMATCH": (
        "tenant-mismatch",
        "The API key is another tenant's, not {tenant}'s.",
        "convergence login --tenant TENANT   # the key's own tenant, or --key-file with a key of {tenant}",
    ),
    "TENANT_NOT_ACTIVE": (
        "tenant-not-active",
        "The key works, but tenant {tenant} is suspended: its calls are refused, and none of its runs start.",
        "convergence tenants resume {tenant}   # by an operator",
    ),
    "SUBSCRIPTION_NOT_ACTIVE": (
        "tenant-not-active",
        "The key works, but tenant {tenant} has no ACTIVE subscription: its calls are refused, and none of its runs start.",
        "convergence api PUT /api/v1/tenants/{tenant} --admin --body FILE   # with subscription_status ACTIVE, by an operator",
    ),
}


def look(installation: Installation) -> list[Finding]:
    """Reads the quota, which every key of a tenant may."""
    credentials, tenant = installation.connection.credentials, installation.connection.tenant_id
    if not (credentials.api_key or credentials.token):
        raise NotChecked("the profile has no API key (convergence login)")
    if not tenant:
        raise NotChecked("the profile names no tenant (--tenant)")
    try:
        installation.calls.quota.get()
    except ConvergenceError as error:
        if error.reason not in _FINDINGS:
            raise
        return judge(tenant, error.reason)
    return []


def judge(tenant: str, reason: str) -> list[Finding]:
    """Pure."""
    name, problem, mend = _FINDINGS[reason]
    return [Finding(name=name, subject=tenant, problem=problem.format(tenant=tenant), mend=mend.format(tenant=tenant))]
