"""Whether the admin key works, and for what."""

from collections.abc import Callable, Mapping

from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.installation import Installation
from convergence.cli.doctor.not_checked import NotChecked
from convergence.client import ConvergenceError

_KINDS = {"provisioner": "tenants and keys cannot be managed", "scheduler": "the jobs cannot be called, and the fleet cannot be looked at"}


def look(installation: Installation) -> list[Finding]:
    """One call of each role."""
    if not installation.connection.credentials.admin_key:
        raise NotChecked("the profile has no admin key (convergence login --admin)")
    calls = installation.calls
    reasons = {
        "provisioner": _reason(lambda: calls.usage.list(page_size=1).first_page()),
        "scheduler": _reason(calls.jobs.status),
    }
    return judge(reasons)


def judge(reasons: Mapping[str, str]) -> list[Finding]:
    """`reasons`: by role, why it was refused; empty: it was not. Pure."""
    if "ADMIN_KEY_INVALID" in reasons.values():
        return [
            Finding(
                name="admin-key-refused",
                subject="admin key",
                problem="The admin key is not known to the services.",
                mend="convergence login --admin   # with a key whose SHA-256 is in CONVERGENCE_ADMIN_KEYS of all services",
            )
        ]
    return [
        Finding(
            name="admin-role-missing",
            subject=role,
            problem=f"The admin key does not have the role {role}: {_KINDS[role]} with it.",
            mend=f"convergence login --admin   # with a key of role {role}; CONVERGENCE_ADMIN_KEYS says which key has which role",
        )
        for role, reason in reasons.items()
        if reason == "ADMIN_ROLE_DENIED"
    ]


def _reason(call: Callable[[], object]) -> str:
    try:
        call()
    except ConvergenceError as error:
        if error.reason not in {"ADMIN_KEY_INVALID", "ADMIN_ROLE_DENIED"}:
            raise
        return error.reason
    return ""
