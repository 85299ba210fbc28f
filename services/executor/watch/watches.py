"""Streams the events of runs. A run has one reader in a process, whatever the number of its watchers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from services.executor.led_runs import Line, LineFeed, line_time
from services.executor.records import RunStatus
from services.executor.store import Store
from services.executor.watch.places import Place, Placed, Sequel
from services.executor.watch.watched_run import WatchedRun

POLL_GROWTH = 12
"""A run that no executor leads is read ever more rarely, at last after so many times the first wait."""

type _Key = tuple[str, str]


class LeaderFinder(Protocol):
    """Finds the executor that leads a run; see `leaders.Leaders`."""

    async def follow(self, tenant_id: str, pipeline_logging_id: str, watched: WatchedRun) -> bool:
        """Passes the run, its lines and its end to `watched` until its leader has recorded its end: then True. False if no other executor
        leads it, or the leader cannot be reached any more. The end may be missing: then the table says how the run has ended.
        """
        ...


class Watches:
    """All watches of this process."""

    def __init__(self, *, store: Store, leaders: LeaderFinder, poll_seconds: float, heartbeat_seconds: float) -> None:
        """`poll_seconds`: the first wait between reads of a run that no executor leads. `heartbeat_seconds`: the longest time without an
        event.
        """
        self._store, self._leaders = store, leaders
        self._poll_seconds, self._heartbeat_seconds = poll_seconds, heartbeat_seconds
        self._watched = dict[_Key, tuple[WatchedRun, asyncio.Task[None]]]()

    async def events(self, tenant_id: str, pipeline_logging_id: str, last: Place | None = None) -> AsyncGenerator[Placed]:
        """The run's status, each line once, in order, and the run again when it has ended; of these what comes after `last`. Raises
        NotFound; Unavailable if BigQuery does not answer within a statement's deadline.
        """
        async with self._sharing((tenant_id, pipeline_logging_id)) as watched:
            async for placed in watched.events(Sequel(run=pipeline_logging_id, last=last), self._heartbeat_seconds):
                yield placed

    @asynccontextmanager
    async def _sharing(self, key: _Key) -> AsyncIterator[WatchedRun]:
        if key not in self._watched:
            watched = WatchedRun()
            self._watched[key] = watched, asyncio.create_task(self._read(key, watched))
        watched, reader = self._watched[key]
        watched.watchers += 1
        try:
            yield watched
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                reader.cancel()
                self._forget(key, watched)

    async def _read(self, key: _Key, watched: WatchedRun) -> None:
        """The reader: ends with the run, with an error, or with the last watcher."""
        try:
            await self._follow(key, watched)
        except Exception as error:  # noqa: BLE001 - it belongs to the watchers, each of which raises it
            watched.fail(error)
        finally:
            # A watcher that comes now gets a reader of its own: this one's events are complete, or it has failed.
            self._forget(key, watched)

    def _forget(self, key: _Key, watched: WatchedRun) -> None:
        if key in self._watched and self._watched[key][0] is watched:
            del self._watched[key]

    async def _follow(self, key: _Key, watched: WatchedRun) -> None:
        wait = self._poll_seconds
        while True:
            is_complete = await self._copied(key, watched) or await self._leaders.follow(*key, watched)
            if watched.last is not None:  # its leader says how it has ended: it has cost no statement
                return
            run = await self._store.require_run(*key)
            watched.begin(run)
            has_ended = run.status is not RunStatus.RUNNING
            # The run was read before its lines: if it has ended, they are complete.
            if not (has_ended and is_complete):
                watched.add(await self._lines(key, watched, has_ended=has_ended))
            if has_ended:
                watched.end(run)
                return
            await asyncio.sleep(wait)
            wait = min(wait * 2, self._poll_seconds * POLL_GROWTH)

    async def _copied(self, key: _Key, watched: WatchedRun) -> bool:
        """Copies the lines of a run of this process until its end is recorded. False if it is no run of this process."""
        led = self._store.led_runs.find(*key)
        if led is None:
            return False
        if led.last is not None or not led.has_ended:
            watched.begin(led.last or led.run)
        async for lines in batches(led.feed):
            watched.add(lines)
        if led.last is not None:
            watched.end(led.last)
        return True

    async def _lines(self, key: _Key, watched: WatchedRun, *, has_ended: bool) -> list[Line]:
        lines: list[Line] = [*await self._store.list_step_logs(*key)]
        # Verdicts are written between the logs of their step, so there are no new ones without a new log, except at the end.
        if has_ended or not all(map(watched.knows, lines)):
            lines += await self._store.list_dq_results(*key)
        return sorted(lines, key=line_time)


async def batches(feed: LineFeed) -> AsyncIterator[list[Line]]:
    """The feed's lines as they come, until it is closed."""
    sent = 0
    while True:
        await feed.more(sent)
        new = feed.lines[sent:]
        sent += len(new)
        if new:
            yield new
        elif feed.is_closed:
            return
