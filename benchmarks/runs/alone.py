"""A run alone: the answer, and when its end is seen."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import requests

from benchmarks.sample_tenants import RUN_SECONDS, SampleTenant

PAUSE_SECONDS: Final = 1.0
"""Between two runs, for what a run leaves behind."""
_DATA: Final = "data:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Alone:
    """One run, in seconds from the call."""

    answered: float
    seen: float
    """The caller knew that it was finished."""
    by_its_own_clock: float
    """`completed_at`, less the time of the call."""


def polled(tenant: SampleTenant, day: str) -> Alone:
    """Seen by GetRun every 100 ms."""
    return _run(tenant, day, tenant.finished)


def watched(tenant: SampleTenant, day: str) -> Alone:
    """Seen by the event of `:watch` that says so."""

    def watch(run: str) -> dict[str, Any]:
        url = f"{tenant.rest.url}/api/v1/pipelines/runs/{tenant.tenant_id}/{run}:watch"
        with requests.get(url, headers=dict(tenant.rest.headers), stream=True, timeout=RUN_SECONDS) as answer:
            for event in events(answer.iter_lines(decode_unicode=True)):
                if (state := event.get("run", {})).get("status", "RUNNING") != "RUNNING":
                    found: dict[str, Any] = state
                    return found
        raise RuntimeError("the watch ended before the run")

    return _run(tenant, day, watch)


def unseen(tenant: SampleTenant, day: str) -> Alone:
    """Not looked at through the suite: its end by its own clock is undisturbed."""

    def wait(run: str) -> dict[str, Any]:
        tenant.finished_unseen(run, every=0.5)
        return tenant.finished(run)

    return _run(tenant, day, wait)


def _run(tenant: SampleTenant, day: str, until_seen: Callable[[str], dict[str, Any]]) -> Alone:
    time.sleep(PAUSE_SECONDS)
    called_at, called = time.time(), time.monotonic()
    run = tenant.start(date=day)
    answered = time.monotonic() - called
    state = until_seen(run)
    seen = time.monotonic() - called
    if state["status"] != "COMPLETED":
        raise RuntimeError(f"the run ended {state}")
    return Alone(answered=answered, seen=seen, by_its_own_clock=datetime.fromisoformat(state["completed_at"]).timestamp() - called_at)


def events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events in the lines of a stream of server-sent events, as they come."""
    for line in lines:
        if line.startswith(_DATA):
            yield json.loads(line.removeprefix(_DATA))
