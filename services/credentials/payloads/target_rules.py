"""Which targets of notifications are taken at all: hosts on the public internet, by their names, and few ports. Pure.

The addresses behind a name are judged when something is delivered. What can be seen from the text is refused here, where the tenant can
still mend it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from services.credentials.providers import Provider
from services.platform.errors import InvalidArgument
from services.platform.settings import ServiceSettings

HTTPS: Final = 443
URL_TAKES: Final = "an https address, https://<host name>/<path>, at most 2,048 characters"
INSIDE: Final = frozenset(
    (
        *("localhost", "local", "localdomain", "internal", "intranet", "private", "corp", "home", "lan", "svc"),
        *("arpa", "test", "invalid", "onion", "alt"),
    )
)
"""Last labels of names that lead nowhere on the public internet: those that networks use inside (ICANN's .internal, RFC 6762 appendix G,
clouds' metadata services, Kubernetes), and those of RFC 6761 and 9476.
"""
_URLS: Final = {Provider.SLACK: "webhook_url", Provider.WEBHOOK: "url"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetRules:
    """What this installation allows."""

    ports: frozenset[int] = frozenset({HTTPS})
    allow_private: bool = False
    """True on a laptop: any host and port, and plain http to the machine itself."""

    @classmethod
    def of(cls, settings: ServiceSettings) -> Self:
        """From the settings."""
        return cls(ports=frozenset(settings.notify_ports), allow_private=settings.notify_allow_private_targets)

    def check(self, url: str, *, field: str) -> None:
        """Raises InvalidArgument for a target that is not allowed, without quoting it: it is a secret. `url` was checked to be one."""
        parts = urlsplit(url)
        if self.allow_private:
            return
        if parts.scheme != "https":
            raise InvalidArgument(field, f"must be {URL_TAKES}.")
        *others, last = (parts.hostname or "").lower().split(".")
        if not others or last in INSIDE:
            raise InvalidArgument(
                field,
                "must name a host on the public internet: not localhost, a name without a dot, or one of a network inside (.internal).",
            )
        if (HTTPS if parts.port is None else parts.port) not in self.ports:
            allowed = ", ".join(str(port) for port in sorted(self.ports))
            raise InvalidArgument(field, f"names a port that this installation does not call. Use {allowed}; without one it is {HTTPS}.")


def target_urls(provider: Provider, plaintext: bytes) -> Iterator[tuple[str, str]]:
    """The field and the URL of a target, from what `to_plaintext` returned; none for a cloud's credentials."""
    if name := _URLS.get(provider):
        yield name, json.loads(plaintext)[name]
