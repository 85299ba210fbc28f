"""What every handler of the local KMS needs: names, checksums, refusals."""

import re
from typing import Any, NoReturn

import google_crc32c
import grpc

MAX_BYTES = 64 * 1024
_ID = r"[a-zA-Z0-9_-]{1,63}"
_LOCATION = rf"projects/[^/]+/locations/{_ID}"
RING = rf"{_LOCATION}/keyRings/{_ID}"
KEY = rf"{RING}/cryptoKeys/{_ID}"
VERSION = rf"(?P<key>{KEY})(?:/cryptoKeyVersions/(?P<number>[1-9]\d*))?"
"""A version, or the key alone."""
PAGE = 100
"""Versions of a page, if the caller does not say."""


class CallRefused(Exception):
    """Ends the call with a status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def refuse(message: str) -> NoReturn:
    """Ends the call with INVALID_ARGUMENT."""
    raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, message)


def match_name(pattern: str, name: str) -> re.Match[str]:
    """The parts of a resource's name; refused if it is no such name."""
    if not (match := re.fullmatch(pattern, name)):
        refuse(f"The request has an invalid resource name: {name!r}.")
    return match


def check_size(field: str, value: bytes) -> None:
    """Refuses a value that is too large."""
    if len(value) > MAX_BYTES:
        refuse(f"The field {field} has {len(value)} bytes; at most {MAX_BYTES} are allowed.")


def verified(request: Any, field: str, data: bytes) -> bool:
    """True if the caller sent a checksum of the field's data. A wrong checksum is refused."""
    checksum = getattr(request, f"{field}_crc32c")
    if checksum is not None and checksum != google_crc32c.value(data):
        refuse(f"The checksum in field {field}_crc32c did not match the data in field {field}.")
    return checksum is not None


def named_version(name: str) -> tuple[str, int]:
    """The key's name and the version's number."""
    match = match_name(VERSION, name)
    if not match["number"]:
        refuse(f"The request has an invalid resource name: {name!r}; it must name a version.")
    return match["key"], int(match["number"])


def check_listing(request: Any, count: int) -> tuple[int, int]:
    """Begin and end of the page among `count` versions. Filters and other orders are refused."""
    if request.filter or request.order_by:
        raise CallRefused(grpc.StatusCode.UNIMPLEMENTED, "The fields filter and order_by are not supported here.")
    if request.page_token and not request.page_token.isdecimal():
        refuse("The field page_token is invalid.")
    begin = int(request.page_token or 0)
    return begin, min(begin + (request.page_size or PAGE), count)
