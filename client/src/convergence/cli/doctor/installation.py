"""The installation that is looked at: its gateway over HTTP, and the client with the caller's keys."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from convergence.api.resources import Resources
from convergence.cli.doctor.http_answer import Outcome, ask
from convergence.cli.trust import trusted
from convergence.client import Client, Connection, Retry

_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """What checks ask."""

    connection: Connection
    calls: Resources
    """The client, without patience: an outage is what is looked for."""
    http: httpx.Client
    now: Callable[[], datetime]
    origin: str = ""
    """The origin of a frontend that must be let in; empty: none was given."""

    @classmethod
    @contextmanager
    def of(cls, client: Client, *, origin: str = "") -> Iterator["Installation"]:
        """The one that the client is connected to."""
        connection = client.connection
        calls = client.with_options(timeout=_SECONDS, retry=Retry(attempts=1))
        # Proxies of the environment are used, as the user's other programs use them.
        with httpx.Client(verify=trusted(connection), timeout=_SECONDS, follow_redirects=False) as http:
            yield cls(connection=connection, calls=calls, http=http, now=lambda: datetime.now(UTC), origin=origin)

    def get(self, path: str, headers: list[tuple[str, str]] | None = None, *, method: str = "GET") -> Outcome:
        """One request to the gateway, without a key unless `headers` has one."""
        return ask(self.http, method, self.connection.url + path, headers)

    @property
    def is_laptop(self) -> bool:
        """Whether the gateway is on this machine."""
        return (urlsplit(self.connection.url).hostname or "") in {"localhost", "127.0.0.1", "::1"}
