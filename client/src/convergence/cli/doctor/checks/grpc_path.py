"""Whether native gRPC reaches the gateway: a proxy that speaks only HTTP/1 lets REST through and nothing else."""

from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.installation import Installation
from convergence.client import ConvergenceError, errors


def look(installation: Installation) -> list[Finding]:
    """Calls what needs no key. REST was answered before."""
    try:
        installation.calls.issuer.configuration()
    except ConvergenceError as error:
        return judge(installation.connection.target, error)
    return []


def judge(target: str, error: ConvergenceError) -> list[Finding]:
    """A refusal with a reason is one of ours, so it came through. Pure."""
    if error.reason or not isinstance(error, errors.Unavailable | errors.DeadlineExceeded | errors.Unimplemented | errors.Internal):
        return []
    return [
        Finding(
            name="grpc-blocked",
            subject=target,
            problem="REST is answered, gRPC is not: what stands before the gateway does not pass on HTTP/2.",
            mend="kubectl describe ingress   # set its backend protocol to HTTP2 (or GRPC); REST works meanwhile: convergence api",
        )
    ]
