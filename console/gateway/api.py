"""Calls of the REST API."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from console.gateway.errors import error_of, unreachable

CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 65.0
"""A little more than the gateway itself allows."""
SILENT_SECONDS = 60.0
"""Streams send something four times in that time."""

type Json = dict[str, Any]
type Names = Mapping[str, str]
NO_NAMES: Names = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """What proves who calls: one header."""

    header: str
    value: SecretStr = field(repr=False)
    tenant_id: str | None
    """None: an operator."""

    @classmethod
    def of_key(cls, api_key: SecretStr, tenant_id: str) -> "Credential":
        """A tenant's API key."""
        return cls(header="X-API-Key", value=api_key, tenant_id=tenant_id)

    @classmethod
    def of_admin_key(cls, admin_key: SecretStr) -> "Credential":
        """An operator's admin key."""
        return cls(header="X-Admin-Key", value=admin_key, tenant_id=None)

    @classmethod
    def of_token(cls, token: SecretStr, tenant_id: str | None) -> "Credential":
        """A session token of a tenant, or an operator's token of OpenID Connect."""
        return cls(header="Authorization", value=SecretStr(f"Bearer {token.get_secret_value()}"), tenant_id=tenant_id)


class Api:
    """Calls as one tenant or operator. A path's `{tenant_id}` is the credential's own; `names` holds what its other placeholders stand for,
    unquoted.
    """

    def __init__(self, http: httpx.AsyncClient, credential: Credential) -> None:
        self._http, self._credential = http, credential

    async def get(self, path: str, names: Names = NO_NAMES, *, query: Mapping[str, object] | None = None) -> Json:
        """The answer. Empty values of `query` are left out. Raises GatewayError, as all calls do."""
        return await self._call("GET", path, names, query=query)

    async def post(self, path: str, names: Names = NO_NAMES, *, body: Mapping[str, Any] | None = None, idempotency_key: str = "") -> Json:
        """Sends `body` as JSON; without one, `{}`."""
        return await self._call("POST", path, names, body=body or {}, idempotency_key=idempotency_key)

    async def put(self, path: str, names: Names = NO_NAMES, *, body: Mapping[str, Any]) -> Json:
        """Sends `body` as JSON."""
        return await self._call("PUT", path, names, body=body)

    async def patch(self, path: str, names: Names = NO_NAMES, *, body: Mapping[str, Any]) -> Json:
        """Sends `body` as JSON."""
        return await self._call("PATCH", path, names, body=body)

    async def delete(self, path: str, names: Names = NO_NAMES) -> Json:
        """Deletes what the path names."""
        return await self._call("DELETE", path, names)

    @asynccontextmanager
    async def stream(self, path: str, names: Names = NO_NAMES) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of an answer that comes bit by bit. A connection that is cut raises GatewayError from the iterator."""
        timeout = httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS)
        try:
            async with self._http.stream("GET", self._path(path, names), headers=self._headers(), timeout=timeout) as answer:
                if answer.status_code != HTTPStatus.OK:
                    await answer.aread()
                    raise error_of(answer.status_code, _json(answer), answer.headers)
                yield _lines(answer)
        except httpx.TransportError as error:
            raise unreachable(error) from None

    async def _call(
        self,
        method: str,
        path: str,
        names: Mapping[str, str],
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, Any] | None = None,
        idempotency_key: str = "",
    ) -> Json:
        params = {name: str(value) for name, value in (query or {}).items() if value not in (None, "")}
        headers = self._headers() | ({"Idempotency-Key": idempotency_key} if idempotency_key else {})
        try:
            answer = await self._http.request(method, self._path(path, names), params=params, json=body, headers=headers)
        except httpx.TransportError as error:
            raise unreachable(error) from None
        found = _json(answer)
        if answer.is_success and isinstance(found, dict):
            return found
        # A good answer that is no object comes from something in between.
        raise error_of(HTTPStatus.BAD_GATEWAY if answer.is_success else answer.status_code, found, answer.headers)

    def _path(self, path: str, names: Mapping[str, str]) -> str:
        if not {"", ".", ".."}.isdisjoint(names.values()):
            raise error_of(HTTPStatus.NOT_FOUND, {"message": "There is nothing of this name."}, {})
        own = {} if self._credential.tenant_id is None else {"tenant_id": self._credential.tenant_id}
        # The credential's tenant comes last: nothing that a browser sends can replace it.
        return path.format_map({name: quote(value, safe="") for name, value in {**names, **own}.items()})

    def _headers(self) -> dict[str, str]:
        return {self._credential.header: self._credential.value.get_secret_value()}


class Gateway:
    """The process's connections to the gateway. Close it at the end."""

    def __init__(self, url: str, *, verify: Any = True) -> None:
        """`verify` as httpx takes it."""
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        # A proxy of the operator's environment must not see tenants' tokens.
        self._http = httpx.AsyncClient(base_url=url, timeout=timeout, verify=verify, trust_env=False, follow_redirects=False)

    def called_as(self, credential: Credential) -> Api:
        """The API for one caller."""
        return Api(self._http, credential)

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.aclose()


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    try:
        async for line in answer.aiter_lines():
            yield line
    except httpx.TransportError as error:
        raise unreachable(error) from None
