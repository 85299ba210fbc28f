"""Sections of `RESULTS.md`, each written by a program of its own: marked, so that one is replaced and the others stay."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

NAMES: Final = ("path", "runs", "peers", "load", "dollars")
"""In the order of the report. `load` is written by hand, from runs of tests/system/load with many tenants."""


def begin(name: str) -> str:
    """The mark before a section."""
    return f"<!-- section: {name} -->"


def end(name: str) -> str:
    """The mark after it."""
    return f"<!-- end of section: {name} -->"


def sections_of(report: str) -> dict[str, str]:
    """The sections that a report has, by name, without their marks."""
    found = {}
    for name in NAMES:
        _, mark, rest = report.partition(begin(name))
        text, closed, _ = rest.partition(end(name))
        if mark and closed:
            found[name] = text.strip("\n")
    return found


def without_sections(report: str) -> str:
    """What stands before the first section."""
    starts = [report.index(begin(name)) for name in NAMES if begin(name) in report]
    return report[: min(starts, default=len(report))].rstrip("\n")


def with_sections(head: str, sections: Mapping[str, str]) -> str:
    """The report of a head and these sections."""
    texts = [f"{begin(name)}\n{sections[name]}\n{end(name)}" for name in NAMES if name in sections]
    return "\n\n".join([head.rstrip("\n"), *texts]) + "\n"


def with_section(report: str, name: str, text: str) -> str:
    """The report with this section in place of the one that it has, or new."""
    return with_sections(without_sections(report), sections_of(report) | {name: text})


def write_section(file: Path, name: str, text: str) -> None:
    """Puts the section into the report in `file`, which need not exist."""
    file.write_text(with_section(file.read_text() if file.exists() else "", name, text))
