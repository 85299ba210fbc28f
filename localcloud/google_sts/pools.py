"""The trust settings of projects: workload identity pools, their OIDC providers, and the users of service accounts. In one file.

Attribute mappings and conditions are in a language (CEL) of which only the part in this suite's documentation is supported:
`assertion.<claim>`, and equalities joined by `&&`; also `startsWith`, for tests of conditions that are too wide. Anything else is refused
when it is set, never ignored.
"""

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from localcloud.files import write_private

POOL: Final = re.compile(r"projects/[1-9]\d*/locations/global/workloadIdentityPools/[a-z0-9][a-z0-9-]{2,30}[a-z0-9]")
_CLAIM: Final = re.compile(r"assertion\.(\w+)")
_NAME, _TEXT = r"(?P<name>(?:assertion|google|attribute)\.\w+)", r"""(?P<quote>['"])(?P<value>[^'"\\]*)(?P=quote)"""
_TESTS: Final[Mapping[re.Pattern[str], Callable[[str, str], bool]]] = {
    re.compile(rf"\s*{_NAME}\s*==\s*{_TEXT}\s*"): str.__eq__,
    re.compile(rf"\s*{_NAME}\.startsWith\({_TEXT}\)\s*"): str.startswith,
}


class UnknownResource(Exception):
    """There is no resource of this name."""


class ResourceExists(Exception):
    """There is a resource of this name already."""


class BadResource(Exception):
    """The resource is invalid for Google, or uses something that is not supported here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OidcProvider:
    """One provider of a pool."""

    issuer: str
    audiences: tuple[str, ...] = ()
    """Empty: the provider's own name."""
    mapping: Mapping[str, str]
    """From an attribute of Google's to `assertion.<claim>`; `google.subject` is one."""
    condition: str = ""
    disabled: bool = False

    def accepted_audiences(self, name: str) -> tuple[str, ...]:
        """The values that a token's `aud` may have; `name` is the provider's own name."""
        return self.audiences or (f"//iam.googleapis.com/{name}", f"https://iam.googleapis.com/{name}")

    def attributes(self, claims: Mapping[str, Any]) -> dict[str, str]:
        """A token's claims after the mapping. Raises KeyError, naming the claim, if the token lacks a mapped claim."""
        return {attribute: str(claims[_claim_of(expression)]) for attribute, expression in self.mapping.items()}

    def admits(self, claims: Mapping[str, Any]) -> bool:
        """Whether the condition is true."""
        names = {f"assertion.{name}": value for name, value in claims.items()} | self.attributes(claims)
        return all(name in names and test(str(names[name]), value) for name, value, test in _tests(self.condition))


def provider_of(body: Mapping[str, Any]) -> OidcProvider:
    """From the body of a call to create one. Raises BadResource."""
    try:
        oidc = body["oidc"]
        provider = OidcProvider(
            issuer=str(oidc["issuerUri"]),
            audiences=tuple(map(str, oidc.get("allowedAudiences", ()))),
            mapping={str(name): str(value) for name, value in body["attributeMapping"].items()},
            condition=str(body.get("attributeCondition", "")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BadResource("A provider needs oidc.issuerUri and attributeMapping.") from error
    if "google.subject" not in provider.mapping:
        raise BadResource("The attribute mapping must have google.subject.")
    for expression in provider.mapping.values():
        _claim_of(expression)
    _tests(provider.condition)
    return provider


@dataclass(kw_only=True, slots=True)
class _Stored:
    pools: list[str] = field(default_factory=list)
    providers: dict[str, OidcProvider] = field(default_factory=dict)
    users: dict[str, list[str]] = field(default_factory=dict)


class Pools:
    """Thread-safe; every change is on disk before the call returns."""

    def __init__(self, path: Path) -> None:
        """Reads the file if it exists. Raises ValueError if it is none of ours."""
        self._path = path
        self._lock = threading.Lock()
        self._stored = _Stored()
        if path.exists():
            self._load()

    def create_pool(self, name: str) -> None:
        """Raises BadResource, ResourceExists."""
        if not POOL.fullmatch(name):
            raise BadResource(f"{name} is no name of a workload identity pool.")
        with self._lock:
            if name in self._stored.pools:
                raise ResourceExists(name)
            self._stored.pools.append(name)
            self._save()

    def put_provider(self, name: str, provider: OidcProvider, *, replace: bool = False) -> None:
        """Raises UnknownResource without the pool, or without the provider that is to be replaced; ResourceExists."""
        with self._lock:
            if (pool := name.rpartition("/providers/")[0]) not in self._stored.pools:
                raise UnknownResource(pool)
            if (name in self._stored.providers) is not replace:
                raise UnknownResource(name) if replace else ResourceExists(name)
            self._stored.providers[name] = provider
            self._save()

    def provider(self, name: str) -> OidcProvider:
        """Raises UnknownResource."""
        try:
            return self._stored.providers[name]
        except KeyError:
            raise UnknownResource(name) from None

    def set_users(self, service_account: str, members: list[str]) -> None:
        """Who may use the account: `principal://...` of a pool's subject."""
        with self._lock:
            self._stored.users[service_account] = members
            self._save()

    def may_use(self, service_account: str, principal: str) -> bool:
        """Whether a principal has Workload Identity User on the account."""
        return principal in self._stored.users.get(service_account, [])

    def _load(self) -> None:
        try:
            stored = json.loads(self._path.read_text())
            providers = {name: OidcProvider(**{**one, "audiences": tuple(one["audiences"])}) for name, one in stored["providers"].items()}
            self._stored = _Stored(pools=list(stored["pools"]), providers=providers, users=dict(stored["users"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{self._path} has no workload identity pools: move it away to start with none") from error

    def _save(self) -> None:
        write_private(self._path, json.dumps(asdict(self._stored), indent=1))


def _claim_of(expression: str) -> str:
    if not (match := _CLAIM.fullmatch(expression)):
        raise BadResource(f"Only assertion.<claim> is supported in attribute mappings here, not {expression}.")
    return match[1]


def _tests(condition: str) -> list[tuple[str, str, Callable[[str, str], bool]]]:
    """Names, the texts that their values are compared with, and how."""
    return [_test(part) for part in condition.split("&&")] if condition else []


def _test(part: str) -> tuple[str, str, Callable[[str, str], bool]]:
    for pattern, test in _TESTS.items():
        if match := pattern.fullmatch(part):
            return match["name"], match["value"], test
    raise BadResource("Only equalities and startsWith, joined by &&, are supported in attribute conditions here.")
