"""What comes back, over native gRPC and over REST, in one form; and what no answer may say."""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import grpc
import requests
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

CODES = {code.value[0]: code.name for code in grpc.StatusCode}
FAULTS = frozenset(("INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED", "DATA_LOSS", "ABORTED", "CANCELLED", "UNIMPLEMENTED"))
"""Codes of which no request may be the cause."""
INNARDS = re.compile(
    rb"""Traceback|File \\?["']/|site-packages|\.py\b|Exception|(?:Value|Type|Key|Index|Attribute|Runtime|Recursion|Overflow|Decode)Error"""
    rb"|google\.api_core|google\.cloud|grpc\._|croniter|duckdb|pyarrow|pydantic|botocore|urllib3|httpcore|zoneinfo|asyncio",
)
"""What only our own code, or a library's, would say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer, or the first message of a stream."""

    code: str
    """gRPC's, e.g. `OK`."""
    reason: str
    """Of the ErrorInfo; empty if there is none."""
    said: bytes
    """All that the caller gets."""
    http: int = 0
    """Over REST: the status."""
    field: str = ""
    """The field that is bad."""

    @property
    def kind(self) -> tuple[str, str]:
        """Code and reason."""
        return self.code, self.reason


def from_error(error: grpc.RpcError) -> Answer:
    """A refusal over native gRPC."""
    sent = [*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())]
    said = [(error.details() or "").encode(), *(value if isinstance(value, bytes) else value.encode() for _, value in sent)]
    status: status_pb2.Status | None = rpc_status.from_call(error)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details if status else ():
        detail.Unpack(info)
        detail.Unpack(bad)
    field = bad.field_violations[0].field if bad.field_violations else ""
    return Answer(code=error.code().name, reason=info.reason, said=b"\n".join(said), field=field)


def from_response(response: requests.Response) -> Answer:
    """An answer over REST. Raises AssertionError for an error that has another shape than all have."""
    headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    said = response.content + headers.encode()
    if response.status_code == requests.codes.ok:
        return Answer(code="OK", reason="", said=said, http=response.status_code)
    body = json.loads(response.content)
    assert sorted(body) == ["code", "details", "message"], body
    reasons = [detail["reason"] for detail in body["details"] if detail["@type"].endswith("google.rpc.ErrorInfo")]
    assert len(reasons) == 1, body
    fields = [bad["field"] for detail in body["details"] for bad in detail.get("field_violations", ())]
    return Answer(code=CODES[body["code"]], reason=reasons[0], said=said, http=response.status_code, field=next(iter(fields), ""))


def faults(answer: Answer) -> Iterator[str]:
    """What is wrong with the answer to a request that may be as bad as it likes."""
    if answer.code in FAULTS or answer.http >= requests.codes.server_error:
        yield f"answered {answer.kind} {answer.http or ''}"
    if answer.code != "OK" and not answer.reason:
        yield f"answered {answer.code} without an ErrorInfo: {answer.said!r}"
    if found := INNARDS.search(answer.said):
        yield f"says {found[0]!r}: {answer.said[:500]!r}"


def leaks(answer: Answer, *, sent: bytes, secrets: Collection[bytes]) -> list[bytes]:
    """The secrets that the answer tells to a caller who has not sent them."""
    return [secret for secret in secrets if secret in answer.said and secret not in sent]
