"""`convergence api` and `convergence openapi`: raw calls of the REST interface, with the profile's key."""

import json
from typing import Annotated

import httpx
import typer
from convergence.cli.exits import ExitCode, exit_of_http
from convergence.cli.invocation import Invocation
from convergence.cli.noun import declare
from convergence.cli.options import UsageProblem, read_text
from convergence.cli.output.dialect import as_json
from convergence.cli.trust import trusted
from convergence.client import Connection, errors

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_SECONDS = httpx.Timeout(65.0, read=None)
"""A watched run may say nothing for long; other calls are ended by the gateway itself."""


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    declare(app, "api", path="api", example="convergence api GET /api/v1/pipelines/templates | jq '.templates[].template'")(api)
    declare(app, "openapi", path="openapi", example="convergence openapi > openapi.json")(openapi)


def api(
    cli: Invocation,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, PUT, PATCH or DELETE.")],
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="E.g. /api/v1/pipelines/templates; {tenant_id} becomes the profile's tenant.")
    ],
    *,
    query: Annotated[list[str] | None, typer.Option("--query", "-q", metavar="NAME=VALUE", help="A query parameter. Repeatable.")] = None,
    body: Annotated[str, typer.Option("--body", metavar="FILE", help="The body, from a file; -: from stdin.", show_default=False)] = "",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="NAME:VALUE", help="A header, no secret. Repeatable.")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Call with the admin key; without it with the API key, if there is one.")] = False,
) -> None:
    """Make one call of the REST interface and print what it answers, errors too; the exit status says how it went."""
    if method.upper() not in METHODS:
        raise UsageProblem(f"{method!r} is no method. There are {', '.join(METHODS)}.")
    if not path.startswith("/"):
        raise UsageProblem("A path begins with /, e.g. /api/v1/pipelines/templates. The gateway is the profile's, or --url.")
    connection = cli.client.connection
    headers = {"content-type": "application/json", **key_header(connection, admin=admin)}
    headers |= {name.strip(): value.strip() for name, value in (_split(one, ":") for one in header or [])}
    content = read_text(body).encode() if body else b"{}" if method.upper() in {"POST", "PUT", "PATCH"} else None
    url = connection.url + path.replace("{tenant_id}", connection.tenant_id)
    parameters = httpx.QueryParams([_split(one, "=") for one in query or []])
    cli.end(
        _call(cli, connection, httpx.Request(method.upper(), url, params=parameters if query else None, headers=headers, content=content))
    )


def openapi(cli: Invocation) -> None:
    """Print the gateway's OpenAPI document."""
    connection = cli.client.connection
    cli.end(_call(cli, connection, httpx.Request("GET", f"{connection.url}/openapi.json")))


def key_header(connection: Connection, *, admin: bool = False) -> dict[str, str]:
    """The header with the credential that the connection has: the API key, else the admin key, else the token. Pure."""
    credentials = connection.credentials
    found = [("x-api-key", credentials.api_key), ("x-admin-key", credentials.admin_key)]
    for name, key in found[1:] if admin else found:
        if key:
            return {name: key}
    return {"authorization": f"Bearer {credentials.token}"} if credentials.token and isinstance(credentials.token, str) else {}


def _call(cli: Invocation, connection: Connection, request: httpx.Request) -> ExitCode:
    try:
        with httpx.Client(verify=trusted(connection), timeout=_SECONDS) as client:
            answer = client.send(request, stream=True)
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                for line in answer.iter_lines():
                    if line.startswith("data:"):
                        cli.printer.line(json.loads(line.removeprefix("data:")))
            else:
                answer.read()
                cli.printer.out.file.write(_pretty(answer) + "\n")
            if request_id := answer.headers.get("x-request-id"):
                cli.printer.remark(f"HTTP {answer.status_code}, request {request_id}")
            return exit_of_http(answer.status_code)
    except httpx.TransportError as error:
        raise errors.Unavailable(f"The gateway {connection.url} does not answer ({type(error).__name__}).") from None


def _pretty(answer: httpx.Response) -> str:
    try:
        return as_json(answer.json(), indent=2)
    except ValueError:
        return answer.text


def _split(one: str, sign: str) -> tuple[str, str]:
    name, found, value = one.partition(sign)
    if not found or not name:
        raise UsageProblem(f"{one!r}: write NAME{sign}VALUE.")
    return name, value
