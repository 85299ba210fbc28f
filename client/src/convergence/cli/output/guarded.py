"""stdout and stderr that say why they cannot be written, instead of breaking whatever prints."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class OutputLost(Exception):
    """What was printed cannot be written; the text is the system's reason."""


class ReaderGone(OutputLost):
    """Of a pipe: its reader has closed it, as `head` does when it has seen enough."""


class Guarded:
    """A text stream. Its `write` and `flush` raise OutputLost; all else is the stream's own. None: was closed before the program began."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream if stream is not None else open(os.devnull, "w")  # noqa: SIM115, PTH123 - for as long as the process lives

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As TextIO does."""
        with self._guard():
            return self._stream.write(text)

    def flush(self) -> None:
        """As TextIO does."""
        with self._guard():
            self._stream.flush()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._discard()
            kind = ReaderGone if isinstance(error, BrokenPipeError) else OutputLost
            raise kind(error.strerror or type(error).__name__) from None

    def _discard(self) -> None:
        """What is still in the buffer goes nowhere: the interpreter would fail on it again at its end."""
        with suppress(OSError, ValueError):  # ValueError: it has no descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
