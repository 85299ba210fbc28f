"""Shows a template's faults in the terminal of `make up`. They come from the executor's log."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BROKEN, READ = "template_broken", "templates_read"
EVERY_SECONDS = 0.5


class TemplateNews:
    """Turns log lines into lines for people: a template's faults when they appear or change, and a line when it is correct again."""

    def __init__(self) -> None:
        self._shown: set[str] = set()
        self._now: set[str] = set()

    def of(self, lines: Iterable[str]) -> Iterator[str]:
        """The news in further lines of the log. Other and incomplete lines are skipped."""
        for entry in _entries(lines):
            if entry["event"] == BROKEN:
                self._now.add(str(entry.get("problem", "")))
            elif entry["event"] == READ:
                yield from (f"Broken template:\n{problem}" for problem in sorted(self._now - self._shown))
                if self._shown and not self._now:
                    yield "All templates can be run."
                self._shown, self._now = self._now, set()


def _entries(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("event") in {BROKEN, READ}:
            yield entry


class BrokenTemplates:
    """Follows the executor's log while the context is open. Nothing but these lines depends on it."""

    def __init__(self, log: Path, say: Callable[[str], None], *, every_seconds: float = EVERY_SECONDS) -> None:
        self._log, self._say, self._every = log, say, every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="broken-templates", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        news, at, rest = TemplateNews(), 0, b""
        while True:
            is_last = self._ended.is_set()
            try:
                with self._log.open("rb") as log:
                    at = at if log.seek(0, 2) >= at else 0  # the log was begun anew
                    log.seek(at)
                    read = rest + log.read()
                    at = log.tell()
            except FileNotFoundError:
                read = b""
            *whole, rest = read.split(b"\n")
            for line in news.of(one.decode(errors="replace") for one in whole):
                self._say(line)
            if is_last:
                return
            self._ended.wait(self._every)
