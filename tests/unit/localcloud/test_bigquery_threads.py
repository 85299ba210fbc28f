"""How many threads the emulator's DuckDB has."""

from localcloud.bigquery.jobs.width import LARGE_BYTES, LARGE_CPU_SECONDS, LINGER_SECONDS, Width


def test_duckdb_has_one_thread_until_a_job_is_large_and_a_while_after() -> None:
    now, used, threads = [0.0], [5.0], [1]
    width = Width(most=8, set_threads=threads.append, clock=lambda: now[0], cpu=lambda: lambda: used[0])
    with width.working(LARGE_BYTES - 1):
        used[0] += LARGE_CPU_SECONDS / 2
        now[0] += 100
        width.look()
        assert threads == [1], "it waits more than it works"
        used[0] += LARGE_CPU_SECONDS / 2
        width.look()
        width.look()
        assert threads == [1, 8]
    now[0] += LINGER_SECONDS / 2
    with width.working():
        width.look()
        assert threads == [1, 8], "what follows on large work is large, too"
    now[0] += LINGER_SECONDS / 2
    width.look()
    assert threads == [1, 8, 1]
    with width.working(LARGE_BYTES):
        assert threads == [1, 8, 1, 8], "at once"


def test_no_job_is_looked_for_while_nothing_runs() -> None:
    width = Width(most=8, set_threads=lambda _: None)
    with width.working():
        width.look()
        assert width._busy.is_set()
    width.look()
    assert not width._busy.is_set()
