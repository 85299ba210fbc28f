"""Prints the demo's calls and results, and checks that they are as expected."""

from collections.abc import Callable
from dataclasses import dataclass

from localcloud.rest import Answer, Rest


class Unexpected(Exception):
    """A result differs from the expected one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Narrator:
    """Makes calls and prints the results through `tell`, one line at a time."""

    tell: Callable[[str], None] = print

    def call(self, caller: Rest, method: str, path: str, body: object | None = None, *, status: int = 200) -> Answer:
        """Calls, and prints the call and its status. Raises Unexpected for another status."""
        answer = caller.call(method, path, body)
        self.tell(f"   {method} {path} -> {answer.status}")
        self.expect(f"{method} {path}", (answer.status, answer.body if answer.status != status else None), (status, None))
        return answer

    def expect(self, what: str, actual: object, expected: object) -> None:
        """Raises Unexpected, naming `what`, unless the two are equal."""
        if actual != expected:
            raise Unexpected(f"{what}: expected {expected!r}, got {actual!r}")
