"""A client that checks every answer against the OpenAPI document."""

from typing import override

from localcloud.rest import Answer, Rest
from tests.support.api.conformance import faults, find_rpc


class CheckedRest(Rest):
    """As Rest. Raises AssertionError for an answer that differs from the document."""

    __slots__ = ()

    @override
    def call(self, method: str, path: str, body: object | None = None, *, data: bytes | None = None) -> Answer:
        answer = super().call(method, path, body, data=data)
        name = find_rpc(method, path)
        found = faults(name, answer.status, answer.body, answer.reason) if name else []
        assert not found, (found, answer.body)
        return answer
