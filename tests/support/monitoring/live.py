"""A running suite under a real Prometheus: every panel has data, and what is broken fires its alert and no other.

The rules are those of deploy/monitoring with shorter times (`rules.sped_up`); the jobs come every few seconds instead of minutes and hours.
"""

import contextlib
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import requests

from localcloud import certs
from localcloud.settings import SERVICES, LocalSettings
from localcloud.stack import Stack
from tests.conftest import CACHE, patient
from tests.support.credentials.samples import new_rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.support.monitoring.prometheus import Prometheus
from tests.support.monitoring.rules import panels, sped_up
from tests.system.tenants import Suite, Tenant

JOBS: Final = ("trigger", "process-queue", "reset-daily-quotas", "check-credentials")
JOBS_EVERY: Final = 5.0
LONGEST: Final = float(os.environ.get("MONITORING_SECONDS", "60"))
"""Seconds of the longest time of a rule; more for a machine that is busy."""
PATIENCE: Final = 3 * LONGEST
STOPPED: Final = {
    *("ConvergenceTriggerStopped", "ConvergenceProcessQueueStopped", "ConvergenceResetStopped", "ConvergenceCredentialChecksStopped"),
}
OF_A_BUSY_MACHINE: Final = frozenset({"ConvergenceEventLoopLags", "ConvergenceCallsSlow"})
"""Their thresholds are real, so they may fire here whenever other programs keep the processors busy."""
DAY: Final = date(2025, 11, 17)


class Jobs:
    """Calls the jobs every few seconds, as Cloud Scheduler does, until it is stopped."""

    def __init__(self, suite: Suite) -> None:
        self._suite, self._stop = suite, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when no call is in progress."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not self._stop.is_set():
                for job in JOBS:
                    url = f"{self._suite.env['GATEWAY_URL']}/api/v1/scheduler/{job}"
                    with contextlib.suppress(requests.RequestException):  # a missed call is missed, as by Cloud Scheduler
                        session.post(url, json={}, headers={"X-Admin-Key": self._suite.env["ADMIN_API_KEY"]}, timeout=70)
                self._stop.wait(JOBS_EVERY)


@contextmanager
def running_suite(folder: Path) -> Iterator[tuple[Stack, Suite]]:
    """A suite of its own, without the console and without Cloud Scheduler."""
    settings = LocalSettings.on_free_ports(folder / "state", cache_dir=CACHE, cloud_scheduler=False)
    extra = {name: {**waiting, "CONVERGENCE_TLS_RELOAD_SECONDS": "1"} for name, waiting in patient().items()}
    with Stack(settings, only=("bigquery", "kms", "bootstrap", *SERVICES, "gateway"), auto_restart=False, extra=extra) as stack:
        yield stack, Suite(local=settings, env=stack.env)


def targets_of(local: LocalSettings) -> dict[str, str]:
    """What Prometheus scrapes."""
    return {name: local.address(f"{name}_metrics") for name in (*SERVICES, "gateway")}


def check(folder: Path, say: Callable[[str], None]) -> None:
    """Raises AssertionError for what does not hold. `say` gets a line for each thing that does."""
    with running_suite(folder) as (stack, suite), Prometheus(targets_of(suite.local), sped_up(LONGEST)) as prometheus:
        jobs = Jobs(suite)
        work(suite)
        well_formed(suite)
        every_panel_has_data(prometheus)
        say("every panel has data")
        quiet(prometheus)
        say("no alert fires while all is well")

        jobs.stop()
        fires(prometheus, STOPPED, say)
        jobs = Jobs(suite)
        quiet(prometheus)

        stack.kill("credentials")
        fires(prometheus, {"ConvergenceServiceDown"}, say)
        stack.restart("credentials")
        quiet(prometheus)

        fill_the_queue(suite)
        fires(prometheus, {"ConvergenceQueueWaits"}, say)
        suite.query(f"DELETE FROM {suite.local.control_dataset}.pipeline_execution_queue WHERE TRUE")
        quiet(prometheus)

        age = certs.VALID - timedelta(days=10)
        certs.renew(suite.local.certs_dir, pause=lambda: time.sleep(5), now=datetime.now(UTC) - age)
        fires(prometheus, {"ConvergenceCertificateExpires"}, say)
        certs.renew(suite.local.certs_dir, pause=lambda: time.sleep(5))
        quiet(prometheus)
        jobs.stop()


def fires(prometheus: Prometheus, alerts: set[str], say: Callable[[str], None]) -> None:
    """Exactly these do, in time."""
    began = time.monotonic()
    prometheus.wait_for(alerts, seconds=PATIENCE, ignored=OF_A_BUSY_MACHINE)
    say(f"{', '.join(sorted(alerts))}: after {time.monotonic() - began:.0f} s, and no other")


def quiet(prometheus: Prometheus) -> None:
    """No alert fires, after a while."""
    prometheus.wait_for((), seconds=PATIENCE, ignored=OF_A_BUSY_MACHINE)


def well_formed(suite: Suite) -> None:
    """Promtool finds nothing to criticise in what the services expose. Raises CalledProcessError if it does."""
    for name in SERVICES:
        page = requests.get(f"http://{suite.local.address(f'{name}_metrics')}/metrics", timeout=10).content
        subprocess.run(["promtool", "check", "metrics"], input=page, check=True)


def every_panel_has_data(prometheus: Prometheus) -> None:
    """Each expression of each dashboard has an answer that is not empty."""
    missing = list(panels())

    def is_there() -> bool:
        missing[:] = [panel for panel in missing if not prometheus.query(panel.expr)]
        return not missing

    assert prometheus.wait(is_there, seconds=PATIENCE), [f"{one.dashboard}: {one.title}: {one.expr}" for one in missing]


def work(suite: Suite) -> None:
    """What makes each part count something: a run, questions about costs and quota, a refusal."""
    tenant: Tenant = suite.tenant(new_rsa())
    assert tenant.set_credentials().status == 200
    load(suite.env["BIGQUERY_EMULATOR_HOST"], f"{tenant.project}.finance.gcp_billing_export_v1_{ACCOUNT}", many(DAY, 50, seed=1), STANDARD)
    run = tenant.finished(tenant.start(DAY))
    assert run["status"] == "COMPLETED", run
    issued = suite.admin.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/api-keys", {"scopes": ["costs:read"]}).body
    reader = tenant.rest.but(X_API_Key=issued["api_key"])
    costs = reader.call("GET", f"/api/v1/tenants/{tenant.tenant_id}/costs?start_date={DAY}&end_date={DAY}")
    assert costs.status == 200, costs.body
    assert tenant.quota_answer().status == 200
    assert tenant.rest.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}/{uuid.uuid4()}").status == 404


def fill_the_queue(suite: Suite) -> None:
    """Runs of a tenant whose runs may not start: its plan has no place for one."""
    tenant = suite.tenant(new_rsa())
    control = suite.local.control_dataset
    run = f"'{tenant.tenant_id}', 'gcp-cost-billing', 'QUEUED', 0, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP()"
    values = ", ".join(f"('{uuid.uuid4()}', '{uuid.uuid4()}', {run})" for _ in range(20))
    columns = "run_id, config_id, tenant_id, pipeline_id, state, priority, scheduled_time, added_at"
    suite.query(f"UPDATE {control}.tenant_subscriptions SET concurrent_limit = 0 WHERE tenant_id = '{tenant.tenant_id}'")
    suite.query(f"INSERT INTO {control}.pipeline_execution_queue ({columns}) VALUES {values}")
