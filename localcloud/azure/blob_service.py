"""Blob Storage's REST API over the store: containers, and blobs that are put, read, listed and deleted; path-style accounts."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from xml.etree.ElementTree import ParseError, fromstring

from localcloud.azure.blobs import BlobKey, BlobStore, StoredBlob
from localcloud.azure.directory import EntraDirectories
from localcloud.azure.replies import AzureReply, BlobRefused, Slice, blob_headers, http_time, listing
from localcloud.azure.tokens import STORAGE, EntraTokens

MOST_RESULTS: Final = 5_000
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class AzureRequest:
    """An HTTP request."""

    method: str
    path: str
    """Decoded, without the query."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes = field(default=b"", repr=False)


class BlobService:
    """Answers requests for Blob Storage."""

    def __init__(self, store: BlobStore, directories: EntraDirectories, tokens: EntraTokens) -> None:
        self._store = store
        self._directories = directories
        self._tokens = tokens
        self._blocks: dict[tuple[BlobKey, str], bytes] = {}

    def answer(self, request: AzureRequest) -> AzureReply:
        """Raises BlobRefused."""
        account, _, rest = request.path.lstrip("/").partition("/")
        container, _, name = rest.partition("/")
        writes = request.method not in {"GET", "HEAD"}
        self._authorize(request, account, container, write=writes)
        if request.query.get("restype") == "container" or not name:
            return self._of_container(request, account, container)
        if not self._store.container(account, container):
            raise BlobRefused("ContainerNotFound")
        found: dict[str, Callable[[AzureRequest, BlobKey], AzureReply]] = {
            "GET": self._get,
            "HEAD": self._head,
            "PUT": self._put,
            "DELETE": self._delete,
        }
        key, part = BlobKey(account=account, container=container, name=name), request.query.get("comp")
        if request.method == "PUT" and part in {"block", "blocklist"}:
            return self._put_block(request, key) if part == "block" else self._put_blocks(request, key)
        if request.method not in found or part:
            raise BlobRefused("UnsupportedHttpVerb")
        return found[request.method](request, key)

    def _authorize(self, request: AzureRequest, account: str, container: str, *, write: bool) -> None:
        """As Azure does: is there an account, a token, does it belong to the account's directory, do networks and roles allow it."""
        found = self._directories.account(account)
        if found is None:
            raise BlobRefused("AccountNotFound")
        challenge = (
            f"Bearer authorization_uri=https://login.microsoftonline.com/{found.directory_id}/oauth2/authorize resource_id={STORAGE}"
        )
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer":
            raise BlobRefused("NoAuthenticationInformation", {"WWW-Authenticate": challenge})
        caller = self._tokens.caller(token)
        if caller is None or caller.directory_id != found.directory_id:
            raise BlobRefused("InvalidAuthenticationInfo", {"WWW-Authenticate": challenge})
        if found.firewall:
            raise BlobRefused("AuthorizationFailure")
        if not self._directories.may(caller.directory_id, caller.client_id, account, container, write=write):
            raise BlobRefused("AuthorizationPermissionMismatch")

    def _of_container(self, request: AzureRequest, account: str, container: str) -> AzureReply:
        if request.method == "PUT" and not request.query.get("comp"):
            made = self._store.create_container(account, container)
            if made is None:
                raise BlobRefused("ContainerAlreadyExists")
            return AzureReply(status=201, headers={"ETag": f'"{made.etag}"', "Last-Modified": http_time(made.modified)})
        found = self._store.container(account, container)
        if found is None:
            raise BlobRefused("ContainerNotFound")
        if request.method == "GET" and request.query.get("comp") == "list":
            return self._list(request, account, container)
        if request.method in {"GET", "HEAD"} and not request.query.get("comp"):
            return AzureReply(status=200, headers={"ETag": f'"{found.etag}"', "Last-Modified": http_time(found.modified)})
        raise BlobRefused("UnsupportedHttpVerb")

    def _list(self, request: AzureRequest, account: str, container: str) -> AzureReply:
        most = request.query.get("maxresults", str(MOST_RESULTS))
        if not most.isdigit() or int(most) < 1:
            raise BlobRefused("OutOfRangeQueryParameterValue")
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        after = _after(request.query.get("marker", ""))
        blobs, folders, left = list[StoredBlob](), dict[str, None](), min(int(most), MOST_RESULTS)
        last, marker = after, ""
        for blob in self._store.list(account, container, prefix=prefix, after=after):
            folder = _folder(blob.name, prefix, delimiter)
            is_new = folder is None or (folder not in folders and not after.startswith(folder))
            if is_new and len(blobs) + len(folders) == left:
                marker = base64.urlsafe_b64encode(last.encode()).decode()
                break
            if folder is None:
                blobs.append(blob)
            elif is_new:
                folders[folder] = None
            last = blob.name
        return listing(container, blobs, folders, request.query, marker)

    def _head(self, request: AzureRequest, key: BlobKey) -> AzureReply:
        blob = self._store.get(key)
        if blob is None:
            raise BlobRefused("BlobNotFound")
        _check_conditions(request, blob)
        return AzureReply(status=200, headers={**blob_headers(blob), "Content-Length": str(blob.size)})

    def _get(self, request: AzureRequest, key: BlobKey) -> AzureReply:
        found = self._store.open(key)
        if found is None:
            raise BlobRefused("BlobNotFound")
        blob, file = found
        try:
            _check_conditions(request, blob)
            span = _range(request, blob.size)
        except BlobRefused:
            file.close()
            raise
        if span is None:
            return AzureReply(status=200, headers=blob_headers(blob), body=Slice(file=file, start=0, length=blob.size))
        start, end = span
        headers = {**blob_headers(blob), "Content-Range": f"bytes {start}-{end}/{blob.size}"}
        return AzureReply(status=206, headers=headers, body=Slice(file=file, start=start, length=end - start + 1))

    def _put_block(self, request: AzureRequest, key: BlobKey) -> AzureReply:
        """A part of a blob that is too large for one request; it waits in memory."""
        self._blocks[key, request.query.get("blockid", "")] = request.body
        return AzureReply(status=201)

    def _put_blocks(self, request: AzureRequest, key: BlobKey) -> AzureReply:
        """The blob is made of the blocks of this list."""
        try:
            names = [str(one.text) for one in fromstring(request.body)]  # noqa: S314 - of this machine
            content = b"".join(self._blocks.pop((key, name)) for name in names)
        except (KeyError, ParseError):
            raise BlobRefused("InvalidBlockList") from None
        return self._put(replace(request, body=content), key)

    def _put(self, request: AzureRequest, key: BlobKey) -> AzureReply:
        is_new, if_match = request.headers.get("if-none-match") == "*", request.headers.get("if-match")
        stored = self._store.put(
            key,
            request.body,
            type_=request.headers.get("x-ms-blob-content-type", "application/octet-stream"),
            encoding=request.headers.get("x-ms-blob-content-encoding", ""),
            if_match=None if if_match in {None, "*"} else str(if_match).strip('"'),
            is_new=is_new,
        )
        if stored is None:
            raise BlobRefused("BlobAlreadyExists" if is_new else "ConditionNotMet")
        return AzureReply(status=201, headers={"ETag": f'"{stored.etag}"', "Last-Modified": http_time(stored.modified)})

    def _delete(self, request: AzureRequest, key: BlobKey) -> AzureReply:
        if not self._store.delete(key):
            raise BlobRefused("BlobNotFound")
        return AzureReply(status=202)


def _check_conditions(request: AzureRequest, blob: StoredBlob) -> None:
    wanted, unwanted = (request.headers.get(name, "").strip('"') for name in ("if-match", "if-none-match"))
    if wanted not in {"", "*", blob.etag}:
        raise BlobRefused("ConditionNotMet")
    if unwanted in {"*", blob.etag}:
        raise BlobRefused("NotModified")


def _range(request: AzureRequest, size: int) -> tuple[int, int] | None:
    """First and last byte; None: all. x-ms-range wins over Range."""
    match = _RANGE.fullmatch(request.headers.get("x-ms-range") or request.headers.get("range", ""))
    if match is None:
        return None
    start = int(match[1])
    if start >= size:
        raise BlobRefused("InvalidRange", {"Content-Range": f"bytes */{size}"})
    return start, min(int(match[2] or size - 1), size - 1)


def _folder(name: str, prefix: str, delimiter: str) -> str | None:
    """The name up to the first delimiter after the prefix; None: it has none."""
    end = name.find(delimiter, len(prefix)) if delimiter else -1
    return None if end < 0 else name[: end + len(delimiter)]


def _after(marker: str) -> str:
    try:
        return base64.urlsafe_b64decode(marker.encode()).decode()
    except ValueError:
        raise BlobRefused("OutOfRangeQueryParameterValue") from None
