"""`python -m tests.support.times junit.xml`: what `make test` takes, and which of its tests take too long for it.

Writes a table to standard output. Exits with status 1 if a test takes so long that a busy machine is no excuse.
"""

import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.tiers import MARK

SLOW, TOO_SLOW = 20.0, 90.0
"""Seconds of a test, its set-up included, from which it is named, and from which it is refused. An idle machine takes a third."""
FILES = 12
"""So many files are listed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """How long a test took."""

    file: str
    name: str
    seconds: float
    is_long: bool


def read(junit: Path) -> Iterator[Timed]:
    """What pytest wrote with --junitxml."""
    for case in ET.parse(junit).getroot().iter("testcase"):
        tiers = {one.get("value") for one in case.iter("property") if one.get("name") == "tier"}
        yield Timed(file=case.get("file") or "", name=case.get("name") or "", seconds=float(case.get("time") or 0), is_long=MARK in tiers)


def report(tests: Iterable[Timed]) -> tuple[str, bool]:
    """A text, and whether a test of `make test` is refused."""
    found = list(tests)
    short, long = [one for one in found if not one.is_long], [one for one in found if one.is_long]
    by_file = defaultdict[str, float](float)
    for one in short:
        by_file[one.file] += one.seconds
    dearest = sorted(by_file, key=lambda file: -by_file[file])[:FILES]
    slow = sorted((one for one in short if one.seconds > SLOW), key=lambda one: -one.seconds)
    lines = [
        f"make test: {total(short):.0f} s in {len(short)} tests; make test-long: {total(long):.0f} s in {len(long)}.",
        "Files of make test that take longest:",
        *(f"{by_file[file]:7.1f} s  {file}" for file in dearest),
        *([f"Too slow for make test (over {SLOW:g} s; CONTRIBUTING.md says what to do):"] if slow else []),
        *(f"{one.seconds:7.1f} s  {one.file}::{one.name}" for one in slow),
    ]
    return "\n".join(lines), any(one.seconds > TOO_SLOW for one in slow)


def total(tests: Iterable[Timed]) -> float:
    return sum(one.seconds for one in tests)


if __name__ == "__main__":
    text, is_refused = report(read(Path(sys.argv[1])))
    sys.stdout.write(f"{text}\n")
    sys.exit(is_refused)
