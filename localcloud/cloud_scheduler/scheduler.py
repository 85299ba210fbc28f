"""`python -m localcloud.cloud_scheduler`: Cloud Scheduler on a laptop. Fires the jobs of `configs/cloud_scheduler/jobs.yaml` over HTTP.

Needs GATEWAY_URL and ADMIN_API_KEY in its environment. If a job is still being tried at its next fire time, it fires again afterwards, as
in Cloud Scheduler. Fire times missed while the machine slept are not caught up: the services' endpoints handle that.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import requests

from localcloud.cloud_scheduler.jobs import Job, load_jobs
from localcloud.settings import LocalSettings

READY = "jobs are on"
"""The log line that says that the jobs have been read."""
LONGEST_SLEEP = 30.0  # seconds: the machine may have been suspended, and a sleep does not continue then
OK = range(200, 300)


def fire(job: Job, *, sleep: Callable[[float], None] = time.sleep, now: Callable[[], float] = time.monotonic) -> bool:
    """Calls the job's URI until it answers 2xx or its retryConfig is exhausted. Returns True on success."""
    began, waits, attempt = now(), job.retry.waits(), 1
    while not _attempt(job, attempt):
        wait = next(waits, None)
        if wait is None or (job.retry.max_duration and now() - began + wait > job.retry.max_duration):
            _say(f"{job.name}: given up after {attempt} tries, until it fires again")
            return False
        sleep(wait)
        attempt += 1
    return True


def _attempt(job: Job, attempt: int) -> bool:
    with requests.Session() as session:
        # A proxy in the developer's environment must not be used for loopback, nor credentials from a .netrc be added.
        session.trust_env = False
        try:
            answer = session.request(job.method, job.uri, headers=job.headers, data=job.body, timeout=job.attempt_deadline)
        except requests.RequestException as error:
            _say(f"{job.name}: try {attempt}: {type(error).__name__}")
            return False
    _say(f"{job.name}: try {attempt}: {answer.status_code} {' '.join(answer.text.split())[:300]}")
    return answer.status_code in OK


def _keep_firing(job: Job, every: float | None) -> None:
    while True:
        due = job.next_after(datetime.now(UTC), every)
        while (left := (due - datetime.now(UTC)).total_seconds()) > 0:
            time.sleep(min(left, LONGEST_SLEEP))
        fire(job)


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}", flush=True)


def main() -> None:
    """Fires until it is killed: the schedule fires an interrupted job again."""
    local = LocalSettings()
    parser = argparse.ArgumentParser(prog="python -m localcloud.cloud_scheduler", description="Cloud Scheduler on a laptop.")
    parser.add_argument("--every", type=float, default=local.scheduler_every, help="seconds between firings, whatever the schedules say")
    every = parser.parse_args().every
    jobs = load_jobs({"GOOGLE_CLOUD_PROJECT": local.project, "SCHEDULER_LOCATION": "local", **os.environ})
    for job in jobs:
        _say(f"{job.name}: {job.method} {job.uri}, next at {job.next_after(datetime.now(UTC), every):%Y-%m-%dT%H:%M:%SZ}")
    _say(f"{len(jobs)} {READY}")
    threads = [threading.Thread(target=_keep_firing, args=(job, every), name=job.name, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    while all(thread.is_alive() for thread in threads):
        time.sleep(1)
    sys.exit("a job has stopped firing")
