"""One HTTP request, and what became of it."""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from socket import gaierror
from typing import Any

import httpx


class Silence(Enum):
    """Why there was no answer."""

    NO_NAME = "its name is not known (DNS)"
    REFUSED = "nothing listens there"
    TIMEOUT = "it does not answer in time"
    UNTRUSTED = "its certificate is not trusted"
    NO_TLS = "it does not speak TLS"
    NO_HTTP = "it does not speak HTTP"
    OTHER = "the connection fails"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any = None
    """Parsed JSON; None: it is none."""

    @property
    def reason(self) -> str:
        """Of the error, if it is one of Convergence's."""
        details = self.body.get("details") if isinstance(self.body, dict) else None
        found = [one for one in details or [] if isinstance(one, dict) and one.get("domain") == "convergence"]
        return str(found[0].get("reason", "")) if found else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Silent:
    """No answer."""

    why: Silence
    text: str = ""
    """What the library says of it; no secret."""


Outcome = Answered | Silent


def ask(client: httpx.Client, method: str, url: str, headers: list[tuple[str, str]] | None = None) -> Outcome:
    """Sends one request without a body."""
    try:
        answer = client.request(method, url, headers=headers)
    except httpx.TransportError as error:
        return silent(error)
    try:
        body = answer.json()
    except ValueError:
        body = None
    return Answered(status=answer.status_code, headers={name.lower(): value for name, value in answer.headers.items()}, body=body)


def silent(error: BaseException) -> Silent:
    """Why a request had no answer: from the error and what it was raised for. Pure."""
    chain = list(_causes(error))
    if untrusted := next((one for one in chain if isinstance(one, ssl.SSLCertVerificationError)), None):
        return Silent(why=Silence.UNTRUSTED, text=getattr(untrusted, "verify_message", ""))
    text = str(error)
    for why, kinds in _KINDS:
        if any(isinstance(one, kinds) for one in chain):
            return Silent(why=why, text=text)
    return Silent(why=Silence.OTHER, text=f"{type(error).__name__}: {text}")


_KINDS: tuple[tuple[Silence, tuple[type[BaseException], ...]], ...] = (
    (Silence.NO_NAME, (gaierror,)),
    (Silence.TIMEOUT, (httpx.TimeoutException, TimeoutError)),
    (Silence.NO_TLS, (ssl.SSLError,)),
    (Silence.NO_HTTP, (httpx.RemoteProtocolError,)),
    (Silence.REFUSED, (ConnectionRefusedError,)),
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
