"""The local Cloud Scheduler: the jobs of the file, fired over HTTP at a small server."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from localcloud.cloud_scheduler.jobs import Job, RetryConfig, load_jobs
from localcloud.cloud_scheduler.scheduler import READY, fire
from localcloud.processes.suite import make_process
from localcloud.settings import LocalSettings
from localcloud.stack import Stack
from services.platform.settings import REPOSITORY

KEY = "admin_do_not_tell"
ROOT = REPOSITORY


@dataclass(kw_only=True)
class Target:
    """What was called, and what is answered: the statuses in order, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    calls: list[tuple[str, str, str | None, bytes]] = field(default_factory=list)
    """Method, path, X-Admin-Key, body."""


@pytest.fixture
def target() -> Iterator[Target]:
    seen = Target()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            seen.calls.append((self.command, self.path, self.headers["X-Admin-Key"], body))
            self.send_response(seen.answers.pop(0) if seen.answers else 200)
            self.end_headers()
            self.wfile.write(b'{"done": true}')

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Not on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        seen.url = f"http://127.0.0.1:{server.server_port}"
        yield seen
        server.shutdown()
        thread.join()


def jobs_at(url: str) -> list[Job]:
    return load_jobs({"GATEWAY_URL": url, "ADMIN_API_KEY": KEY, "GOOGLE_CLOUD_PROJECT": "p", "SCHEDULER_LOCATION": "l"})


def test_the_jobs_are_those_of_flow_3_and_the_nightly_check(target: Target) -> None:
    """Name, schedule, path, header and body; and the key is in no repr."""
    jobs = jobs_at(target.url)

    for job in jobs:
        assert fire(job)

    assert [(job.name, job.schedule, str(job.zone)) for job in jobs] == [
        ("convergence-trigger", "0 * * * *", "Etc/UTC"),
        ("convergence-process-queue", "*/5 * * * *", "Etc/UTC"),
        ("convergence-reset-daily-quotas", "0 0 * * *", "Etc/UTC"),
        ("convergence-check-credentials", "*/5 1-4 * * *", "Etc/UTC"),
    ]
    paths = [f"/api/v1/scheduler/{name}" for name in ("trigger", "process-queue", "reset-daily-quotas", "check-credentials")]
    assert target.calls == [("POST", path, KEY, b"{}") for path in paths]
    assert KEY not in repr(jobs)


def test_a_failed_call_is_made_again_as_its_retry_config_says(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    """With its waits, until it works; each try is printed, the key never."""
    slept: list[float] = []
    target.answers = [503, 429]

    assert fire(jobs_at(target.url)[0], sleep=slept.append)

    assert (len(target.calls), slept) == (3, [2.0, 4.0])
    told = capsys.readouterr().out
    assert "convergence-trigger: try 1: 503" in told
    assert 'try 3: 200 {"done": true}' in told
    assert KEY not in told


def test_it_gives_up_when_the_tries_or_the_time_are_used_up(target: Target) -> None:
    job = jobs_at(target.url)[0]
    target.answers = [500] * 20
    slept: list[float] = []

    assert not fire(job, sleep=slept.append)
    assert slept == [2.0, 4.0, 8.0]
    assert not fire(replace(job, retry=replace(job.retry, max_duration=5.0)), sleep=slept.append, now=lambda: float(sum(slept[3:])))
    assert slept[3:] == [2.0]
    assert not fire(replace(job, uri="http://127.0.0.1:1/"), sleep=slept.append)


def test_waits_double_then_grow_evenly_up_to_the_most() -> None:
    retry = RetryConfig(count=7, max_duration=0, min_backoff=10, max_backoff=300, max_doublings=3)
    assert list(retry.waits()) == [10, 20, 40, 80, 160, 240, 300]


def test_a_job_fires_by_its_schedule_in_its_zone() -> None:
    _, queue, reset, check = jobs_at("http://x")
    now = datetime(2026, 7, 1, 12, 3, tzinfo=UTC)
    assert queue.next_after(now) == datetime(2026, 7, 1, 12, 5, tzinfo=UTC)
    assert reset.next_after(now) == datetime(2026, 7, 2, tzinfo=UTC)
    assert check.next_after(now) == datetime(2026, 7, 2, 1, tzinfo=UTC)
    assert replace(reset, zone=ZoneInfo("Europe/Berlin")).next_after(now) == datetime(2026, 7, 1, 22, tzinfo=UTC)
    assert reset.next_after(now, every=1.5) == datetime(2026, 7, 1, 12, 3, 1, 500000, tzinfo=UTC)


def test_a_placeholder_without_a_value_is_reported() -> None:
    with pytest.raises(KeyError, match="ADMIN_API_KEY"):
        load_jobs({"GATEWAY_URL": "http://x", "GOOGLE_CLOUD_PROJECT": "p", "SCHEDULER_LOCATION": "l"})


def test_it_keeps_firing_as_a_part_of_the_stack(target: Target, tmp_path: Path) -> None:
    """With LOCALCLOUD_SCHEDULER_EVERY, from its own process, all jobs."""
    settings = LocalSettings.on_free_ports(tmp_path / "state", scheduler_every=0.1)
    with Stack(settings, only=("cloud_scheduler",), extra={"cloud_scheduler": {"GATEWAY_URL": target.url, "ADMIN_API_KEY": KEY}}) as stack:
        assert READY in (settings.logs_dir / "cloud_scheduler.log").read_text()
        while len(target.calls) < 8:
            assert stack.wait("cloud_scheduler", 0.05) is None
    assert len({path for _, path, _, _ in target.calls}) == 4
    assert KEY not in (settings.logs_dir / "cloud_scheduler.log").read_text()


def test_it_can_be_left_out(tmp_path: Path) -> None:
    settings = LocalSettings.on_free_ports(tmp_path / "state", cloud_scheduler=False)
    with Stack(settings, only=("cloud_scheduler",)) as stack, pytest.raises(ValueError, match="no process is called"):
        stack.pid("cloud_scheduler")
    assert make_process(settings, "cloud_scheduler", admin_key=KEY).needs == ("gateway",)


def test_without_a_key_it_does_not_start() -> None:
    ended = subprocess.run([sys.executable, "-m", "localcloud.cloud_scheduler"], cwd=ROOT, env={}, capture_output=True, check=False)
    assert ended.returncode != 0
    assert b"KeyError" in ended.stderr


def test_the_gcloud_lines_say_what_the_file_says() -> None:
    """docs/google-cloud.md has one for each job."""
    lines = re.findall(r"gcloud scheduler jobs create http (.*?)\n(?!  )", (ROOT / "docs" / "google-cloud.md").read_text(), re.DOTALL)
    found = {line.split()[0]: line for line in lines}
    for job in jobs_at("$GATEWAY_URL"):
        line = found[job.name]
        for part_ in (f'--schedule="{job.schedule}"', f"--time-zone={job.zone}", f'--uri="{job.uri}"', f"--http-method={job.method}"):
            assert part_ in line
        for option, seconds in (("attempt-deadline", job.attempt_deadline), ("min-backoff", job.retry.min_backoff)):
            assert f"--{option}={seconds:g}s" in line
