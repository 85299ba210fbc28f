"""Whether keys travel unencrypted."""

from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.installation import Installation


def look(installation: Installation) -> list[Finding]:
    """Looks at the settings alone."""
    return judge(installation.connection.url, is_laptop=installation.is_laptop)


def judge(url: str, *, is_laptop: bool) -> list[Finding]:
    """Pure."""
    if is_laptop or url.startswith("https://"):
        return []
    return [
        Finding(
            name="key-sent-in-clear",
            subject=url,
            problem="The gateway is called over plain HTTP from another machine: keys can be read on the way.",
            mend="convergence login --url https://HOST   # after giving the gateway or its load balancer a certificate",
        )
    ]
