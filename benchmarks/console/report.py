"""Writes what was measured."""

from collections.abc import Mapping, Sequence

from benchmarks.console.rows import CHANGES, DAYS, RUNS, SERVICES, TENANTS
from benchmarks.console.visits import Listed


def report(full: Sequence[Listed], empty: Mapping[str, Listed]) -> str:
    """The whole page; `empty` has the same pages, or the first ones of the same lists, with nothing in them."""
    return f"""# The console with much in its lists

A tenant has {RUNS:,} runs, costs of {DAYS:,} days by 3 providers with {SERVICES} services each ({3 * DAYS * SERVICES:,} rows) and
{CHANGES:,} changes of them; the installation has {TENANTS:,} tenants and {RUNS:,} runs within a week. A real browser opens each page some
times; beside it, the same page of a tenant, and of an installation, without any of that. Everything, the emulator of BigQuery too, shares
one machine, which also did other work: read the ratios. "First" finds nothing in a cache, "again" is the median of the later visits.
Server: from the request to the page's last byte. Interactive: from the click until the page is painted and answers.

| page | HTML, KiB | server first, ms | again | empty | ratio | interactive first, ms | again | empty | ratio |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
{chr(10).join(_line(one, empty[one.name]) for one in full)}

Again: `make bench-console`.
"""


def _line(one: Listed, empty: Listed) -> str:
    cells = [f"{one.name} | {one.first.bytes / 1024:.0f}"]
    for field in ("server_ms", "interactive_ms"):
        first, again, base = getattr(one.first, field), one.again(field), empty.again(field)
        cells.append(f"{first:.0f} | {again:.0f} | {base:.0f} | {again / base:.1f}")
    return f"| {' | '.join(cells)} |"
