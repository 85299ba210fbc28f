"""Whether there is a gateway at the URL, and whether it is Convergence's."""

from convergence.cli.doctor.finding import Finding
from convergence.cli.doctor.http_answer import Answered, Outcome, Silence, Silent
from convergence.cli.doctor.installation import Installation

_NOWHERE = "/api/v1/doctor-looks-for-nothing"
"""No path of ours. Only our gateway refuses it in our way, also behind a load balancer that answers /healthz itself."""


def look(installation: Installation) -> list[Finding]:
    """Asks for a path that does not exist."""
    return judge(installation.connection.url, installation.get(_NOWHERE), is_laptop=installation.is_laptop)


def judge(url: str, outcome: Outcome, *, is_laptop: bool) -> list[Finding]:
    """Pure."""
    match outcome:
        case Silent(why=Silence.UNTRUSTED | Silence.NO_TLS | Silence.NO_HTTP):
            return [Finding(name="gateway-tls", subject=url, problem=_unread(outcome), mend=_MEND_TLS[outcome.why].format(url=url))]
        case Silent():
            start = "make up" if is_laptop else "kubectl get pods,service,ingress   # of the gateway; then: convergence login --url URL"
            return [Finding(name="gateway-unreachable", subject=url, problem=f"{url} does not answer: {outcome.why.value}.", mend=start)]
        case Answered() if outcome.reason == "PATH_NOT_FOUND" or outcome.headers.get("server") == "convergence":
            return []
        case Answered(status=502 | 503 | 504):
            return [
                Finding(
                    name="gateway-unreachable",
                    subject=url,
                    problem=f"What stands before the gateway answers {outcome.status}: it cannot reach the gateway itself.",
                    mend="kubectl get pods   # is the gateway ready? Its probe is /healthz",
                )
            ]
        case Answered():
            said = outcome.headers.get("server", "no name")
            return [
                Finding(
                    name="not-convergence",
                    subject=url,
                    problem=f"{url} answers, but it is not a gateway of Convergence (HTTP {outcome.status}, server: {said}).",
                    mend="convergence login --url URL   # the gateway's own address, without a path",
                )
            ]


def _unread(outcome: Silent) -> str:
    return f"The gateway cannot be talked to: {outcome.why.value}" + (f" ({outcome.text})." if outcome.text else ".")


_MEND_TLS = {
    Silence.UNTRUSTED: "convergence login --ca-file CA.pem   # if it is your own authority; else renew the certificate of {url}",
    Silence.NO_TLS: "convergence login --url http://HOST:PORT   # or give the gateway GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY",
    Silence.NO_HTTP: "convergence login --url https://HOST:PORT   # it may speak TLS",
}
