"""Whether a frontend's origin is let in."""

from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.http_answer import Answered, Outcome
from convergence.cli.doctor.installation import Installation
from convergence.cli.doctor.not_checked import NotChecked

_PATH = "/api/v1/pipelines/templates"


def look(installation: Installation) -> list[Finding]:
    """Sends the preflight that a browser would."""
    if not installation.origin:
        raise NotChecked("no origin of a frontend was given (--origin https://app.example.com)")
    headers = [
        ("origin", installation.origin),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization,x-api-key"),
    ]
    return judge(installation.origin, installation.get(_PATH, headers, method="OPTIONS"), is_laptop=installation.is_laptop)


def judge(origin: str, outcome: Outcome, *, is_laptop: bool) -> list[Finding]:
    """Pure."""
    allowed = outcome.headers.get("access-control-allow-origin", "") if isinstance(outcome, Answered) else ""
    if allowed in {origin, "*"}:
        return []
    return [
        Finding(
            name="cors-origin-refused",
            subject=origin,
            problem=f"Browsers refuse calls of pages of {origin}: the gateway does not list this origin.",
            mend=f"GATEWAY_CORS_ORIGIN={origin} "
            + ("make up" if is_laptop else "   # in the gateway's environment, origins with commas between them"),
        )
    ]
