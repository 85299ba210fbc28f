"""The services' logs: no traceback, and no error that they did not expect."""

import json
from collections.abc import Iterator
from pathlib import Path

from tests.support.invariants.violation import Violation

UNEXPECTED = ("Traceback (most recent call last)", '"exception"')


def log_violations(logs: Path, services: tuple[str, ...]) -> Iterator[Violation]:
    """In `{service}.log` and `{service}-{replica}.log`. The emulators' own logs are not ours to judge."""
    for path in sorted(logs.glob("*.log")):
        if path.stem.partition("-")[0] not in services:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if any(mark in line for mark in UNEXPECTED):
                yield Violation(invariant="logs.no_traceback", where=f"{path.name}:{number}", what=_short(line))


def _short(line: str) -> str:
    try:
        said = json.loads(line)
    except ValueError:
        return line[:300]
    return f"{said.get('event')}: {str(said.get('exception', ''))[-500:]}"
