"""Whether the gateway's certificate is about to expire."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.installation import Installation
from convergence.cli.doctor.not_checked import NotChecked
from convergence.cli.trust import trusted

SOON = timedelta(days=14)
_SECONDS = 5.0


def look(installation: Installation) -> list[Finding]:
    """Greets the gateway over TLS."""
    connection = installation.connection
    if not connection.tls:
        raise NotChecked("the gateway is called over plain HTTP")
    parts = urlsplit(connection.url)
    context = trusted(connection)
    context = ssl.create_default_context() if isinstance(context, bool) else context
    try:
        with (
            socket.create_connection((parts.hostname or "", parts.port or 443), _SECONDS) as raw,
            context.wrap_socket(raw, server_hostname=parts.hostname) as wrapped,
        ):
            found = wrapped.getpeercert() or {}
    except OSError as error:
        raise NotChecked(f"no direct connection ({type(error).__name__}); there may be a proxy") from None
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), UTC)
    return judge(parts.hostname or "", ends, installation.now())


def judge(host: str, ends: datetime, now: datetime) -> list[Finding]:
    """`ends`: when the certificate does. Pure."""
    if ends - now > SOON:
        return []
    left = max((ends - now).days, 0)
    return [
        Finding(
            name="gateway-certificate-expiring",
            subject=host,
            problem=f"The gateway's certificate expires at {ends:%Y-%m-%d %H:%M} UTC, in {left} days; then every call fails.",
            mend="kubectl describe certificate   # why is it not renewed? A renewed file is used at once",
        )
    ]
