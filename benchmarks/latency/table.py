"""The critical path as Markdown."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.latency.path import Walked, count, critical_path, sequential
from benchmarks.latency.recorder import Seen
from benchmarks.latency.times import Kind

INTRODUCTION = """\
## The critical path of one run

One RunPipeline of gcp/cost/billing with FOCUS, for a day of {rows} rows, in the whole suite. Every request to BigQuery passes a proxy that
lets it wait for BigQuery's time: 1 s a statement, 2 s a load, 0.1 s an insertAll, 0.15 s a metadata or result call, 0.5 s a read session;
the emulator's own time comes on top. A script is charged one second, or one for each of its statements. The path is the longest chain of
requests of which each was sent when the one before it was answered, or later: of those answered before the caller was, and of those
answered later, until COMPLETED was visible; `benchmarks/latency/path.py` has it to the letter. "Statements one after the other" are the
statements, scripts and loads on it, "BigQuery's" is what its requests waited for BigQuery's times: what is left is the emulator's and our
own.
"""
SUMMARY = (
    "| run | times | answer s | of it BigQuery's | COMPLETED visible s | of it BigQuery's"
    " | statements one after the other: before the answer | after it | statements in all"
    " | streams on the path | metadata and results on the path |"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """One run that was followed."""

    flow: str
    times: str
    walked: Walked


def table(runs: Sequence[Followed], *, rows: int) -> str:
    """The whole section. The path itself is shown of the first run of each flow, and of the slowest times that it was followed with as one
    statement a script.
    """
    parts = [INTRODUCTION.format(rows=rows), SUMMARY, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|", *map(_summary, runs), ""]
    by_flow = defaultdict[str, list[Followed]](list)
    for run in runs:
        by_flow[run.flow].append(run)
    for flow, followed in by_flow.items():
        parts += [*_path(flow, {run.times: run.walked for run in followed}), ""]
    return "\n".join(parts).rstrip()


def _summary(run: Followed) -> str:
    found = run.walked
    path = [*critical_path(found.before), *critical_path(found.after)]
    cells = (
        run.flow,
        run.times,
        f"{found.answered - found.called:.2f}",
        f"{sum(one.waited for one in critical_path(found.before)):.2f}",
        f"{found.ended - found.called:.2f}",
        f"{sum(one.waited for one in path):.2f}",
        len(sequential(found.before)),
        len(sequential(found.after)),
        sum(one.is_job for one in (*found.before, *found.after, *found.unawaited)),
        count(path, Kind.STREAM),
        count(path, Kind.METADATA, Kind.RESULT),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _path(flow: str, by_times: Mapping[str, Walked]) -> list[str]:
    """The path of one flow: as the slowest run had it, with the others' milliseconds for the same requests."""
    names = list(by_times)
    shown = max(by_times.values(), key=lambda walked: walked.ended - walked.called)
    lines = [
        f"### {flow}",
        "",
        f"| # | what | asked by | {' | '.join(f'ms, {name}' for name in names)} |",
        f"|--:|---|---|{'--:|' * len(names)}",
    ]
    milliseconds = {name: _by_occurrence((*walked.before, *walked.after)) for name, walked in by_times.items()}
    number = itertools.count(1)
    for part, label in ((shown.before, "**answer**"), (shown.after, "**COMPLETED visible**")):
        occurrences = {id(one): key for key, one in _occurrences((*shown.before, *shown.after))}
        for one in critical_path(part):
            key = occurrences[id(one)]
            times = " | ".join(f"{milliseconds[name][key]:.0f}" if key in milliseconds[name] else "" for name in names)
            lines.append(f"| {next(number)} | {_named(one)} | {one.by} | {times} |")
        ends = (walked.answered if label == "**answer**" else walked.ended for walked in by_times.values())
        starts = (walked.called for walked in by_times.values())
        moments = " | ".join(f"{(end - start) * 1000:.0f}" for end, start in zip(ends, starts, strict=True))
        lines.append(f"| | {label} | | {moments} |")
    return [*lines, "", *_beside(shown)]


def _beside(walked: Walked) -> list[str]:
    on_path = {id(one) for one in (*critical_path(walked.before), *critical_path(walked.after))}
    beside = [one for one in (*walked.before, *walked.after) if id(one) not in on_path]
    lists = (("Beside it", beside), ("After the end", walked.unawaited), ("Of no run, meanwhile", walked.ticks))
    return [f"{title}: {_counted(seen)}." for title, seen in lists if seen]


def _counted(seen: Iterable[Seen]) -> str:
    return ", ".join(f"{name} x{times}" if times > 1 else name for name, times in Counter(map(_named, seen)).items())


def _named(one: Seen) -> str:
    script = f" (script of {one.ask.statements})" if one.ask.statements > 1 else ""
    return f"**{one.ask.name}**{script}" if one.is_job else one.ask.name


def _occurrences(seen: Iterable[Seen]) -> list[tuple[tuple[str, str, int], Seen]]:
    """Each with its name, who asked, and the how-manieth of that it is."""
    met = Counter[tuple[str, str]]()
    found = []
    for one in sorted(seen, key=lambda one: one.sent):
        found.append(((one.ask.name, one.by, met[one.ask.name, one.by]), one))
        met[one.ask.name, one.by] += 1
    return found


def _by_occurrence(seen: Iterable[Seen]) -> dict[tuple[str, str, int], float]:
    return {key: one.seconds * 1000 for key, one in _occurrences(seen)}
