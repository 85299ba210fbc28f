"""Whether a tenant's keys end soon, so that its callers fail without warning."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from convergence.auth.v1.api_key_pb2 import ApiKey
from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.installation import Installation
from convergence.cli.doctor.not_checked import NotChecked
from convergence.cli.output.cells import time_of

SOON = timedelta(days=14)


def look(installation: Installation) -> list[Finding]:
    """Lists the keys of the profile's tenant."""
    connection = installation.connection
    if not connection.credentials.admin_key:
        raise NotChecked("the profile has no admin key (convergence login --admin)")
    if not connection.tenant_id:
        raise NotChecked("the profile names no tenant (--tenant)")
    return judge(connection.tenant_id, installation.calls.keys.list(), installation.now())


def judge(tenant: str, keys: Iterable[ApiKey], now: datetime) -> list[Finding]:
    """Keys that were used lately and end within SOON. Pure."""
    found = []
    for key in keys:
        ends = time_of(key, "expires_at")
        if key.is_active and ends and now < ends <= now + SOON and key.HasField("last_used_at"):
            found.append(
                Finding(
                    name="api-key-expiring",
                    subject=key.api_key_id,
                    problem=f"A key of {tenant} that is in use expires at {ends:%Y-%m-%d %H:%M} UTC; then its calls fail.",
                    mend=f"convergence keys rotate {key.api_key_id} --tenant {tenant} --out FILE",
                )
            )
    return found
