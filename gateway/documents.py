"""What the gateway serves itself: the interface, for programs as `/openapi.json` and `/descriptor.binpb`, for people as `/docs`."""

import gzip
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2

from gateway.public_rpcs import public_services
from gateway.settings import GatewaySettings

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".binpb": "application/x-protobuf",
}
COMPRESSED_ONLY = 512 * 1024
"""Larger documents are always sent compressed: Envoy holds an answer until its client has read it. Every browser that can run the page
reads gzip.
"""
PAGE = "docs.html"
IN_ERRORS = ("google/rpc/error_details.proto", "convergence/errors/v1/error_reason.proto")
"""Messages of these are details of errors, which no service's file imports."""
# The viewer puts styles of its own into its shadow DOM. It calls the gateway alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A file that is served without a key."""

    pattern: str
    """A regular expression for its path."""
    name: str
    content: bytes

    @property
    def tag(self) -> str:
        """The ETag of all its forms."""
        return f'W/"{hashlib.sha256(self.content).hexdigest()[:16]}"'

    @property
    def forms(self) -> dict[str, bytes]:
        """Its forms, by the name of the file: compressed for clients that read gzip, and uncompressed, unless it is large."""
        compressed = {f"{self.name}.gz": gzip.compress(self.content, mtime=0)}
        return compressed if len(self.content) > COMPRESSED_ONLY else {**compressed, self.name: self.content}


def documents(settings: GatewaySettings) -> list[Document]:
    """All of them. Raises FileNotFoundError if `make gen` has not run yet."""
    pages = [path for path in sorted(settings.pages_dir.iterdir()) if path.suffix in TYPES]
    return [
        Document(pattern="/openapi[.]json", name="openapi.json", content=settings.openapi.read_bytes()),
        Document(pattern="/descriptor[.]binpb", name="descriptor.binpb", content=public_descriptor(settings.descriptor)),
        *(Document(pattern=_pattern(path.name), name=path.name, content=path.read_bytes()) for path in (settings.viewer, *pages)),
    ]


def _pattern(name: str) -> str:
    return "/docs/?" if name == PAGE else f"/docs/{re.escape(name)}"


def public_descriptor(descriptor: Path) -> bytes:
    """The descriptor set for clients (`grpcurl -protoset`, `buf curl --schema`): the public services with all that they need, and their
    comments. Raises FileNotFoundError if `make gen` has not run yet.
    """
    whole = descriptor_pb2.FileDescriptorSet.FromString(descriptor.read_bytes()).file
    public = set(public_services(descriptor))
    wanted = set(IN_ERRORS) | {file.name for file in whole if any(f"{file.package}.{service.name}" in public for service in file.service)}
    # A file comes after those that it imports.
    for file in reversed(whole):
        if file.name in wanted:
            wanted.update(file.dependency)
    return descriptor_pb2.FileDescriptorSet(file=[file for file in whole if file.name in wanted]).SerializeToString(deterministic=True)


def document_routes(document: Document, settings: GatewaySettings) -> Iterator[dict[str, Any]]:
    """The placeholders of `configs/envoy/document_route.yaml`. The first that fits a request is its answer."""
    shared = {
        "content-type": TYPES[Path(document.name).suffix],
        "etag": document.tag,
        "cache-control": "no-cache",
        "vary": "accept-encoding",
        # It is the same for everybody.
        "access-control-allow-origin": "*",
        "content-security-policy": POLICY,
    }
    yield _route(document, _header("if-none-match", document.tag), {"status": 304}, shared)
    for name in document.forms:
        is_compressed = name.endswith(".gz")
        asked = _header("accept-encoding", "gzip") if is_compressed and len(document.forms) > 1 else []
        answer = {"status": 200, "body": {"filename": str(settings.document_out(name))}}
        yield _route(document, asked, answer, shared | ({"content-encoding": "gzip"} if is_compressed else {}))


def _header(name: str, part: str) -> list[dict[str, Any]]:
    return [{"name": name, "string_match": {"contains": part}}]


def _route(document: Document, asked: list[dict[str, Any]], answer: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    method = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    added = [{"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"} for key, value in headers.items()]
    return {"PATTERN": document.pattern, "HEADERS": [method, *asked], "ANSWER": answer, "RESPONSE_HEADERS": added}
