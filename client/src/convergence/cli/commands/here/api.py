"""`convergence api` and `convergence openapi`: raw calls of the REST interface, with the profile's key."""

import json
import re
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
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
"""RFC 9110, section 5.5, without bytes that are no ASCII."""
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
    admin: Annotated[bool, typer.Option("--admin", help="Call with the admin key. Default: the API key, if there is one.")] = False,
) -> None:
    """Make one call of the REST interface and print what it answers, errors too; the exit status says how it went."""
    if method.upper() not in METHODS:
        raise UsageProblem(f"{method!r} is no method. There are {', '.join(METHODS)}.")
    if not path.startswith("/"):
        raise UsageProblem("A path begins with /, e.g. /api/v1/pipelines/templates. The gateway is the profile's, or --url.")
    connection = cli.client.connection
    headers = {"content-type": "application/json", **key_header(connection, admin=admin)}
    headers |= dict(read_header(one) for one in header or [])
    content = read_text(body).encode() if body else b"{}" if method.upper() in {"POST", "PUT", "PATCH"} else None
    url = connection.url + path.replace("{tenant_id}", connection.tenant_id)
    pairs: list[tuple[str, str | int | float | bool | None]] = [_split(one, "=") for one in query or []]
    try:
        parameters = httpx.QueryParams(pairs)
        request = httpx.Request(method.upper(), url, params=parameters if pairs else None, headers=headers, content=content)
    except (httpx.InvalidURL, UnicodeEncodeError) as error:  # the latter: of bytes on the command line that are no text
        raise UsageProblem(f"{url!r} is no URL: {error}.") from None
    cli.end(_call(cli, connection, request))


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


def read_header(one: str) -> tuple[str, str]:
    """A header of a request, from `NAME:VALUE`. Raises UsageProblem, without quoting the value. Pure."""
    name, value = (part.strip(" ") for part in _split(one, ":"))
    if not _HEADER_NAME.fullmatch(name):
        raise UsageProblem(f"{name!r} is no name of a header: letters, digits and hyphens, without spaces.")
    if not _HEADER_VALUE.fullmatch(value):
        raise UsageProblem(
            f"The value of the header {name} has a line break or another character that a header cannot hold: printable ASCII only."
        )
    return name, value


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
                cli.printer.verbatim(_pretty(answer))
            if request_id := answer.headers.get("x-request-id"):
                cli.printer.remark(f"HTTP {answer.status_code}, request {request_id}")
            return exit_of_http(answer.status_code)
    except httpx.TransportError as error:
        raise errors.Unavailable(f"The gateway {connection.url} does not answer ({type(error).__name__}).") from None


def _pretty(answer: httpx.Response) -> str:
    try:
        return as_json(answer.json(), indent=2)
    except ValueError:
        return answer.text.replace("\r\n", "\n")


def _split(one: str, sign: str) -> tuple[str, str]:
    name, found, value = one.partition(sign)
    if not found or not name:
        raise UsageProblem(f"{one!r}: write NAME{sign}VALUE.")
    return name, value
