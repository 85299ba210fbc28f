"""The whole document."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools.openapi.bodies import run_bodies
from tools.openapi.errors import error_examples, error_schemas
from tools.openapi.examples import Examples
from tools.openapi.headers import HEADERS, PARAMETERS
from tools.openapi.operations import Operations
from tools.openapi.protos import ROOT, Protos
from tools.openapi.refusals import ERROR_REASON, refusals, statuses
from tools.openapi.schemas import Schemas

SECURITY: Final = {
    "tenant": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A tenant's API key."},
    "session": {"type": "http", "scheme": "bearer", "description": "A session token of the tenant, for browsers."},
    "admin": {"type": "apiKey", "in": "header", "name": "X-Admin-Key", "description": "An admin key; its role says what it may do."},
    "operator": {"type": "http", "scheme": "bearer", "description": "An OpenID Connect token that the installation maps to a role."},
}
DESCRIPTION: Final = """\
Cloud-cost pipelines for many tenants.

Names are as in the protos (`snake_case`). 64-bit integers are JSON strings. A field of an answer is always there unless it is optional
here; one that is absent has no value. Words such as a run's status may become more in a later release: treat an unknown one as such.

Every error is an `Error`; its `ErrorInfo.reason` is one of `ErrorReason`. How to call from a browser is in docs/frontend.md, from other
languages and by gRPC in docs/clients.md."""


def openapi(descriptors: FileDescriptorSet, examples: Examples | None = None) -> dict[str, Any]:
    """The document. `examples`: those of docs/api/examples if None."""
    protos = Protos.of(descriptors)
    examples = Examples.read() if examples is None else examples
    schemas, bodies = Schemas(protos), run_bodies()
    operations = Operations(protos=protos, schemas=schemas, statuses=statuses(protos), run_bodies=bodies, examples=examples)
    paths: dict[str, dict[str, Any]] = {}
    for rpc in protos.rpcs:
        path = re.sub(r"\{([\w.]+)=[^}]*\}", r"{\1}", rpc.template)
        paths.setdefault(path, {})[rpc.verb] = operations.describe(rpc)
    schemas.words(ERROR_REASON)
    responses = share_responses(paths)
    return {
        "openapi": "3.1.0",
        "info": _info(),
        "servers": [{"url": "/", "description": "The gateway that this document comes from."}],
        "tags": _tags(protos),
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted({**error_schemas(), **bodies, **schemas.components}.items())),
            "responses": responses,
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "examples": error_examples(protos, examples.errors, {reason for rpc in protos.rpcs for reason in refusals(rpc)}),
            "securitySchemes": SECURITY,
        },
    }


def share_responses(paths: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Moves into components the error responses that are the same wherever their status is, and returns them by name."""
    operations = [operation for path in paths.values() for operation in path.values()]
    by_status = defaultdict[str, list[Any]](list)
    for operation in operations:
        for status, response in operation["responses"].items():
            by_status[status].append(response)
    alike = {status: found[0] for status, found in by_status.items() if len(found) > 1 and all(one == found[0] for one in found)}
    names = {status: "".join(HTTPStatus(int(status)).phrase.title().split()) for status in alike}
    for operation in operations:
        for status in operation["responses"].keys() & alike.keys():
            operation["responses"][status] = {"$ref": f"#/components/responses/{names[status]}"}
    return {names[status]: response for status, response in alike.items()}


def _info() -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {
        "title": "Convergence",
        "version": project["version"],
        "summary": project["description"],
        "description": DESCRIPTION,
        "contact": {"name": "The operator of this installation"},
        # A name of SPDX for what has none: there is no licence yet, see README.md.
        "license": {"name": "No licence yet, see README.md", "identifier": "LicenseRef-none"},
    }


def _tags(protos: Protos) -> list[dict[str, str]]:
    found = {rpc.title: protos.comment(rpc.full_name.rpartition(".")[0]) for rpc in protos.rpcs}
    return [{"name": title, "description": comment} for title, comment in sorted(found.items())]
