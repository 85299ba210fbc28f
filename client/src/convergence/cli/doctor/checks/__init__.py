"""The checks, in the order in which they are done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convergence.cli.doctor.checks import (
    admin_key,
    api_key,
    certificate,
    clock,
    cors,
    credentials,
    expiring_keys,
    gateway,
    grpc_path,
    jobs,
    plain_http,
    services,
)
from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.installation import Installation


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check."""

    name: str
    look: Callable[[Installation], Sequence[Finding]]
    """Asks and decides. Raises NotChecked if it cannot look, ConvergenceError if a call fails that it does not judge."""
    is_first: bool = False
    """Where it finds something, no other check can look."""


CHECKS = (
    Check(name="gateway", look=gateway.look, is_first=True),
    Check(name="plain-http", look=plain_http.look),
    Check(name="certificate", look=certificate.look),
    Check(name="clock", look=clock.look),
    Check(name="services", look=services.look),
    Check(name="grpc", look=grpc_path.look),
    Check(name="api-key", look=api_key.look),
    Check(name="admin-key", look=admin_key.look),
    Check(name="expiring-keys", look=expiring_keys.look),
    Check(name="jobs", look=jobs.look),
    Check(name="credentials", look=credentials.look),
    Check(name="cors", look=cors.look),
)
