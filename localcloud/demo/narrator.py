"""Says what the demo does while it does it: what was called, what came back, and that it was as expected."""

from collections.abc import Callable
from dataclasses import dataclass

from localcloud.rest import Answer, Rest


class Unexpected(Exception):
    """Something came back other than expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Narrator:
    """Makes calls and prints what comes back, by `tell`, a line at a time."""

    tell: Callable[[str], None] = print

    def call(self, caller: Rest, method: str, path: str, body: object | None = None, *, status: int = 200) -> Answer:
        """Calls, and says so. Raises Unexpected for another status."""
        answer = caller.call(method, path, body)
        self.tell(f"   {method} {path} -> {answer.status}")
        self.expect(f"{method} {path}", (answer.status, answer.body if answer.status != status else None), (status, None))
        return answer

    def expect(self, what: str, actual: object, expected: object) -> None:
        """Raises Unexpected, naming `what`, unless both are the same."""
        if actual != expected:
            raise Unexpected(f"{what}: expected {expected!r}, got {actual!r}")
