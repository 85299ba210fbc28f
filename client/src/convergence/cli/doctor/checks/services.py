"""Whether every service behind the gateway can be reached."""

from collections.abc import Mapping
from http import HTTPStatus

from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.http_answer import Answered, Outcome
from convergence.cli.doctor.installation import Installation

PATHS = {
    "auth": "/api/v1/tenants/doctor/quota",
    "credentials": "/api/v1/tenants/doctor/credentials",
    "executor": "/api/v1/pipelines/templates",
    "scheduler": "/api/v1/tenants/doctor/schedules",
}
_TWICE = [("x-api-key", "doctor"), ("x-api-key", "doctor")]
"""A service refuses a key that is sent twice by itself, before it asks auth: so the answer is that service's own."""
_DOWN = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})


def look(installation: Installation) -> list[Finding]:
    """One call to each service, which it refuses, and /readyz."""
    outcomes = {name: installation.get(path, _TWICE) for name, path in PATHS.items()}
    return judge(outcomes, installation.get("/readyz"), is_laptop=installation.is_laptop)


def judge(outcomes: Mapping[str, Outcome], ready: Outcome, *, is_laptop: bool) -> list[Finding]:
    """Pure."""
    down = [name for name, outcome in outcomes.items() if not isinstance(outcome, Answered) or outcome.status in _DOWN]
    findings = [
        Finding(
            name="service-down",
            subject=name,
            problem=f"The gateway is up, but it cannot reach {name}: calls that need it are answered 503.",
            mend=f"tail .local/logs/{name}.log   # then start it again: make up"
            if is_laptop
            else f"kubectl logs deployment/{name} --tail=50   # then: kubectl rollout restart deployment/{name}",
        )
        for name in down
    ]
    if not findings and isinstance(ready, Answered) and ready.status == HTTPStatus.SERVICE_UNAVAILABLE:
        findings = [
            Finding(
                name="service-down",
                subject="a replica",
                problem="/readyz says that too few replicas of a service are healthy, though each service answers.",
                mend="kubectl get pods   # which is not ready?",
            )
        ]
    return findings
