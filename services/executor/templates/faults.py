"""Faults of a template, each with its place. One reading finds as many as it can, so that an author can correct them together."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Fault:
    """Something wrong in a template. As text: `file:line:column: message`, as compilers print it and editors read it."""

    source: str
    line: int
    """From 1, as is `column`."""
    column: int
    message: str
    may_follow: bool = False
    """Something it refers to is missing. This may be a consequence of another fault, of a parameter or an earlier step."""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}: {self.message}"


class TemplateError(ValueError):
    """A template is invalid. The message has one line for each fault."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class Faults:
    """Collects faults of parts that can be read independently."""

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self.is_complete = True
        """False if something that other parts may refer to is left out, because of its faults."""

    def attempt[T, U](self, read: Callable[[], T], instead: U, *, is_complete: bool = True) -> T | U:
        """The result of `read`; `instead` if it raises TemplateError, whose faults are kept. Unless `is_complete`, faults that may follow
        from others are dropped: they may disappear once the others are corrected.
        """
        try:
            return read()
        except TemplateError as error:
            self.found += [fault for fault in error.faults if is_complete or not fault.may_follow]
            return instead

    def raise_all(self) -> None:
        """Raises TemplateError if there is a fault."""
        if self.found:
            raise TemplateError(*dict.fromkeys(self.found))
