"""Replies of the local Azure, and Blob Storage's XML: lists and errors as Azure writes them.

https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes, .../list-blobs
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import IO, Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

from localcloud.azure.blobs import StoredBlob

_MESSAGES: Final = {
    "AccountNotFound": (404, "The specified storage account does not exist."),
    "AuthorizationFailure": (403, "This request is not authorized to perform this operation."),
    "AuthorizationPermissionMismatch": (403, "This request is not authorized to perform this operation using this permission."),
    "BlobAlreadyExists": (409, "The specified blob already exists."),
    "BlobNotFound": (404, "The specified blob does not exist."),
    "ConditionNotMet": (412, "The condition specified using HTTP conditional header(s) is not met."),
    "ContainerAlreadyExists": (409, "The specified container already exists."),
    "ContainerNotFound": (404, "The specified container does not exist."),
    "InvalidAuthenticationInfo": (
        401,
        "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.",
    ),
    "InvalidBlockList": (400, "The specified block list is invalid."),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    "NoAuthenticationInformation": (
        401,
        "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.",
    ),
    "NotModified": (304, ""),
    "OutOfRangeQueryParameterValue": (400, "One of the query parameters specified in the request URI is outside the permissible range."),
    "ServerBusy": (503, "The server is busy."),
    "UnsupportedHttpVerb": (405, "The resource doesn't support specified Http Verb."),
}
"""By code: the status and the message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """A part of a file, which is closed after it was sent."""

    file: IO[bytes]
    start: int
    length: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AzureReply:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Slice = b""


class BlobRefused(Exception):
    """An error of Blob Storage, by its code."""

    def __init__(self, code: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.headers = headers or {}

    @property
    def reply(self) -> AzureReply:
        """As Azure writes it."""
        status, message = _MESSAGES[self.code]
        error = Element("Error")
        SubElement(error, "Code").text = self.code
        SubElement(error, "Message").text = f"{message}\nRequestId:{uuid.uuid4()}\nTime:{datetime.now(UTC).isoformat()}"
        headers = {"x-ms-error-code": self.code, "Content-Type": "application/xml", **self.headers}
        return AzureReply(status=status, headers=headers, body=_xml(error) if message else b"")


def json_reply(body: Any, status: int = 200) -> AzureReply:
    """A reply of the token endpoint."""
    return AzureReply(status=status, headers={"Content-Type": "application/json; charset=utf-8"}, body=json.dumps(body).encode())


def blob_headers(blob: StoredBlob) -> dict[str, str]:
    """What Azure says of a blob with its contents, and without."""
    headers = {
        "Content-Type": blob.type,
        "ETag": f'"{blob.etag}"',
        "Last-Modified": http_time(blob.modified),
        "x-ms-creation-time": http_time(blob.created),
        "x-ms-blob-type": "BlockBlob",
        "x-ms-server-encrypted": "true",
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "Accept-Ranges": "bytes",
    }
    return headers | ({"Content-Encoding": blob.encoding} if blob.encoding else {})


def listing(container: str, blobs: Iterable[StoredBlob], folders: Iterable[str], asked: Mapping[str, str], marker: str) -> AzureReply:
    """A page of List Blobs. `asked`: the query; `marker`: of the next page, empty after the last one."""
    root = Element("EnumerationResults", ContainerName=container)
    for name, key in (("Prefix", "prefix"), ("Marker", "marker"), ("MaxResults", "maxresults"), ("Delimiter", "delimiter")):
        if asked.get(key):
            SubElement(root, name).text = asked[key]
    listed = SubElement(root, "Blobs")
    for blob in blobs:
        one = SubElement(listed, "Blob")
        SubElement(one, "Name").text = blob.name
        properties = SubElement(one, "Properties")
        for name, value in _properties(blob).items():
            SubElement(properties, name).text = value
    for folder in folders:
        SubElement(SubElement(listed, "BlobPrefix"), "Name").text = folder
    SubElement(root, "NextMarker").text = marker
    return AzureReply(status=200, headers={"Content-Type": "application/xml"}, body=_xml(root))


def http_time(time: datetime) -> str:
    """As HTTP writes it."""
    return format_datetime(time, usegmt=True)


def _properties(blob: StoredBlob) -> dict[str, str]:
    return {
        "Creation-Time": http_time(blob.created),
        "Last-Modified": http_time(blob.modified),
        "Etag": blob.etag,
        "Content-Length": str(blob.size),
        "Content-Type": blob.type,
        "Content-Encoding": blob.encoding,
        "BlobType": "BlockBlob",
        "AccessTier": "Hot",
        "AccessTierInferred": "true",
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
        "ServerEncrypted": "true",
    }


def _xml(root: Element) -> bytes:
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text
