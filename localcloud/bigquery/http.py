"""The REST interface of the emulator: local-bigquery's application. The most frequent calls of our services are answered more directly.

FastAPI passes each call through a dozen layers, two of which run it in tasks of their own, and looks for its route among two hundred. This
takes as much CPU as a small statement takes in DuckDB. Four kinds of calls are answered here: to begin a job, to ask for a job, to describe
a table, and insertAll. They use the same models and the same functions, in one thread. local-bigquery itself answers all other calls, and
calls that are not exactly as expected (another parameter, a compressed or unreadable body).

Upstream would have to make its two middlewares plain ASGI.
"""

import asyncio
import contextvars
import json
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from fastapi.responses import JSONResponse, Response
from local_bigquery import app as upstream
from local_bigquery.api import jobs, tables
from local_bigquery.app import PREFIX, PROJECT_ID, identify_caller
from local_bigquery.catalog import row_access
from local_bigquery.errors import from_exception
from local_bigquery.models import Job, QueryRequest, TableDataInsertAllRequest
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from localcloud.bigquery.version import require_known_version
from localcloud.google_sts.bigquery_callers import forged_token, is_forged

THREADS = 40
"""Calls that are answered concurrently, as many as in FastAPI: most of them wait for a job."""

type Answer = Callable[..., Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A call that is answered directly: `answer(**parts of the path, body=..., **parameters)`."""

    method: str
    path: re.Pattern[str]
    answer: Answer
    body: type[BaseModel] | None = None
    parameters: Mapping[str, Callable[[str], Any]]
    """The query parameters that are accepted, and functions that read their values. ValueError: FastAPI must judge the value."""

    def matches(self, method: str, path: str) -> dict[str, str] | None:
        """The parts of the path."""
        found = self.path.fullmatch(path) if method == self.method else None
        return found.groupdict() if found and PROJECT_ID.match(found["project_id"]) else None


def application(google_sts: str | None) -> ASGIApp:
    """The application that uvicorn serves. RuntimeError if local-bigquery is not the known version."""
    require_known_version()
    # Upstream's own middleware for this costs two tasks for each call.
    upstream.user_middleware = [one for one in upstream.user_middleware if one.kwargs.get("dispatch") is not identify_caller]
    return Callers(Direct(upstream), google_sts)


class Callers:
    """Records the caller, for row access policies. Answers 401 for a token that the Security Token Service has not issued."""

    def __init__(self, inner: ASGIApp, google_sts: str | None) -> None:
        self._inner, self._google_sts = inner, google_sts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the call on."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), None)
        if given and self._google_sts and await asyncio.to_thread(is_forged, given, self._google_sts):
            await forged_token()(scope, receive, send)
            return
        token = row_access.caller.set(row_access.identify(given))
        try:
            await self._inner(scope, receive, send)
        finally:
            row_access.caller.reset(token)


class Direct:
    """Answers the calls of `ROUTES`; `inner` answers all others."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rest")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or passes the call on as it came."""
        found = _route(scope) if scope["type"] == "http" else None
        if found is None:
            await self._inner(scope, receive, send)
            return
        route, given = found
        text = await _whole(receive)
        if route.body is not None:
            try:
                given["body"] = route.body.model_validate(json.loads(text))
            except (ValidationError, ValueError, RecursionError):
                await self._inner(scope, _again(text, receive), send)
                return
        run = contextvars.copy_context().run
        response = await asyncio.get_running_loop().run_in_executor(self._threads, run, _answered, route.answer, given)
        await response(scope, receive, send)


def _route(scope: Scope) -> tuple[Route, dict[str, Any]] | None:
    """The route, and its arguments except the body."""
    if not scope["path"].startswith(PREFIX):
        return None
    path = scope["path"].removeprefix(PREFIX)
    for route in ROUTES:
        if (parts := route.matches(scope["method"], path)) is None:
            continue
        if route.body is not None and any(name == b"content-encoding" for name, _ in scope["headers"]):
            return None
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names) or not route.parameters.keys() >= set(names):
            return None
        try:
            read = {_NAMES.get(name, name): route.parameters[name](value) for name, value in pairs}
        except ValueError:
            return None
        return route, {**parts, **{name: value for name, value in read.items() if name not in _IGNORED}}
    return None


def _answered(answer: Answer, given: Mapping[str, Any]) -> Response:
    """The response, or local-bigquery's response for the error."""
    try:
        found = answer(**given)
    except Exception as error:  # noqa: BLE001 - as its own handler does
        refused = from_exception(error)
        return JSONResponse(refused.response(), status_code=refused.code)
    if isinstance(found, Response):
        return found
    return Response(found.model_dump_json(by_alias=True, exclude_unset=True), media_type="application/json")


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _again(text: bytes, receive: Receive) -> Receive:
    """The request again, so that another application can read it."""
    first: Iterable[dict[str, Any]] = iter([{"type": "http.request", "body": text, "more_body": False}])

    async def read() -> Any:
        return next(first, None) or await receive()  # type: ignore[call-overload]

    return read


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(text)
    return int(text)


def _flag(text: str) -> bool:
    if text not in {"true", "false", "True", "False"}:
        raise ValueError(text)
    return text in {"true", "True"}


def _path(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern))


# Query parameters whose name differs from the function's parameter.
_NAMES = {"formatOptions.useInt64Timestamp": "int64_timestamps"}
# Query parameters that the functions do not have, and that FastAPI drops.
_IGNORED = {"prettyPrint", "location", "projection", "alt"}
_COMMON: dict[str, Callable[[str], Any]] = dict.fromkeys(_IGNORED, str)
_RESULTS: dict[str, Callable[[str], Any]] = {
    "maxResults": _number,
    "pageToken": str,
    "startIndex": _number,
    "timeoutMs": _number,
    "formatOptions.useInt64Timestamp": _flag,
}
_TABLE = "/projects/{project_id}/datasets/{dataset_id}/tables/{table_id}"
ROUTES: tuple[Route, ...] = (
    Route(method="POST", path=_path("/projects/{project_id}/queries"), answer=jobs.run_query, body=QueryRequest, parameters=_COMMON),
    Route(
        method="GET",
        path=_path("/projects/{project_id}/queries/{job_id}"),
        # If it is called as a function, the parameter's default is FastAPI's description of it.
        answer=lambda **given: jobs.get_query_results(**{"int64_timestamps": False, **given}),
        parameters={**_COMMON, **_RESULTS},
    ),
    Route(method="POST", path=_path("/projects/{project_id}/jobs"), answer=jobs.insert_job, body=Job, parameters=_COMMON),
    Route(method="GET", path=_path("/projects/{project_id}/jobs/{job_id}"), answer=jobs.get_job, parameters=_COMMON),
    Route(method="GET", path=_path(_TABLE), answer=tables.get_table, parameters=_COMMON),
    Route(method="POST", path=_path(f"{_TABLE}/insertAll"), answer=tables.insert_all, body=TableDataInsertAllRequest, parameters=_COMMON),
)
