"""`python -m localcloud.cloud_scheduler`: Cloud Scheduler on a laptop. Fires the jobs of `configs/cloud_scheduler/jobs.yaml` over HTTP.

Needs GATEWAY_URL and ADMIN_API_KEY in its environment; with `--account` no admin key, but it publishes the key of that account's tokens.
If a job is still being tried at its next fire time, it fires again afterwards, as in Cloud Scheduler. Fire times missed while the machine
slept are not caught up: the services' endpoints handle that.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests

from localcloud.cloud_scheduler.google_accounts import GoogleAccounts
from localcloud.cloud_scheduler.jobs import Job, load_jobs
from localcloud.settings import LocalSettings
from services.platform.environment.reading import read

READY = "jobs are on"
"""The log line that says that the jobs have been read."""
LONGEST_SLEEP = 30.0  # seconds: the machine may have been suspended, and a sleep does not continue then
OK = range(200, 300)


def fire(
    job: Job,
    accounts: GoogleAccounts | None = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> bool:
    """Calls the job's URI until it answers 2xx or its retryConfig is exhausted. Returns True on success. `accounts` makes the tokens of
    jobs that send some.
    """
    began, waits, attempt = now(), job.retry.waits(), 1
    while not _attempt(job, accounts, attempt):
        wait = next(waits, None)
        if wait is None or (job.retry.max_duration and now() - began + wait > job.retry.max_duration):
            _say(f"{job.name}: given up after {attempt} tries, until it fires again")
            return False
        sleep(wait)
        attempt += 1
    return True


def _attempt(job: Job, accounts: GoogleAccounts | None, attempt: int) -> bool:
    headers = dict(job.headers)
    if job.oidc is not None and accounts is not None:
        headers["Authorization"] = f"Bearer {accounts.identity_token(job.oidc.email, job.oidc.audience)}"
    with requests.Session() as session:
        # A proxy in the developer's environment must not be used for loopback, nor credentials from a .netrc be added.
        session.trust_env = False
        try:
            answer = session.request(job.method, job.uri, headers=headers, data=job.body, timeout=job.attempt_deadline)
        except requests.RequestException as error:
            _say(f"{job.name}: try {attempt}: {type(error).__name__}")
            return False
    _say(f"{job.name}: try {attempt}: {answer.status_code} {' '.join(answer.text.split())[:300]}")
    return answer.status_code in OK


def _keep_firing(job: Job, accounts: GoogleAccounts | None, every: float | None) -> None:
    while True:
        due = job.next_after(datetime.now(UTC), every)
        while (left := (due - datetime.now(UTC)).total_seconds()) > 0:
            time.sleep(min(left, LONGEST_SLEEP))
        fire(job, accounts)


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}", flush=True)


def main() -> None:
    """Fires until it is killed: the schedule fires an interrupted job again."""
    local = read(LocalSettings)
    parser = argparse.ArgumentParser(prog="python -m localcloud.cloud_scheduler", description="Cloud Scheduler on a laptop.")
    parser.add_argument("--every", type=float, default=local.scheduler_every, help="seconds between firings, whatever the schedules say")
    parser.add_argument("--account", help="service account whose identity tokens the jobs send instead of the admin key")
    parser.add_argument("--accounts-url", default=f"http://{local.address('google_accounts')}", help="issuer of these tokens (%(default)s)")
    parser.add_argument("--key-file", type=Path, default=local.state_dir / "cloud_scheduler" / "key.pem", help="its key (%(default)s)")
    options = parser.parse_args()
    jobs = load_jobs({"GOOGLE_CLOUD_PROJECT": local.project, "SCHEDULER_LOCATION": "local", **os.environ}, account=options.account)
    with ExitStack() as stack:
        accounts = GoogleAccounts(options.accounts_url, options.key_file) if options.account else None
        if accounts is not None:
            address = urlsplit(accounts.url)
            stack.enter_context(accounts.serve(address.hostname or local.host, address.port or local.google_accounts_port))
        _fire_all(jobs, accounts, options.every)


def _fire_all(jobs: Sequence[Job], accounts: GoogleAccounts | None, every: float | None) -> None:
    for job in jobs:
        _say(f"{job.name}: {job.method} {job.uri}, next at {job.next_after(datetime.now(UTC), every):%Y-%m-%dT%H:%M:%SZ}")
    _say(f"{len(jobs)} {READY}")
    threads = [threading.Thread(target=_keep_firing, args=(job, accounts, every), name=job.name, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    while all(thread.is_alive() for thread in threads):
        time.sleep(1)
    sys.exit("a job has stopped firing")
