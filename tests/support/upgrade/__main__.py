"""`python -m tests.support.upgrade ../old`: old and new processes side by side over one dataset, while tenants call both.

The old checkout makes the dataset, the tenants and a queue. Calls and jobs come without a pause, first to its gateway, then to both, then
to that of this checkout alone; meanwhile this checkout's bootstrap runs, twice at once, its processes start beside the old ones, and the
old executor and scheduler are stopped in the middle of runs, as a deployment does (`--how stop`), or killed (`--how kill`). With
`--how mixed` the old services call the new ones too, and are stopped one by one in the order of an upgrade, each while those that call it
go on.

Ends with 1 if a call was refused, or anything lost, doubled or miscounted, or, unless they were killed, if a run has FAILED.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from localcloud import certs
from localcloud.demo.demo_flow import emulated_warehouse
from localcloud.ports import free_ports
from localcloud.rest import Rest
from localcloud.settings import SERVICES, LocalSettings
from localcloud.stack import Stack
from services.platform.settings import REPOSITORY
from tests.support.credentials.samples import Rsa, key_file, new_rsa
from tests.support.executor.billing_export import ACCOUNT, DETAILED, load, many
from tests.support.upgrade.checkout import Checkout, Running
from tests.support.upgrade.traffic import FIRST_CALLED, FIRST_FILLED, ROWS, Count, Tenant, Traffic, count, wait_for_end

# As on a busy machine; and a killed executor's runs are tried again soon.
EXTRA = {
    "CONVERGENCE_BIGQUERY_DEADLINE_SECONDS": "25",
    "CONVERGENCE_RETRY_BASE_SECONDS": "1",
    "CONVERGENCE_RETRY_CAP_SECONDS": "5",
    "CONVERGENCE_DML_STATEMENTS_PER_10_SECONDS": "10000",
}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def make_tenant(number: int, running: Running, key: Rsa, host: str, filled: int) -> Tenant:
    """With credentials, an export, and a paused schedule."""
    tenant_id, project = f"upgraded_{number}", f"p-upgraded-{number}"
    put = running.admin.call("PUT", f"/api/v1/tenants/{tenant_id}", {"company_name": "Old", "admin_email": "a@b.example"})
    issued = running.admin.call("POST", f"/api/v1/tenants/{tenant_id}/api-keys", {})
    assert (put.status, issued.status) == (200, 200), (put, issued)
    rest = Rest(url=running.admin.url, headers={"X-API-Key": issued.body["api_key"], "X-User-ID": "alice"})
    days = [FIRST_CALLED + timedelta(days=day) for day in range(31)] + [FIRST_FILLED + timedelta(days=day) for day in range(filled)]
    rows = [row for day in days for row in many(day, ROWS)]
    load(host, f"{project}.cloud_costs.gcp_billing_export_resource_v1_{ACCOUNT}", rows, DETAILED)
    file = key_file(key, project_id=project, client_email=f"reader@{project}.iam.gserviceaccount.com")
    credentials = {"provider": "GCP", "credentials": {"project_id": project, "service_account_json": json.dumps(file)}}
    stored = rest.call("POST", f"/api/v1/tenants/{tenant_id}/credentials", credentials)
    assert stored.status == 200, stored
    schedule = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "schedule_cron": "0 3 * * *", "max_retries": 10}
    made = rest.call("POST", f"/api/v1/tenants/{tenant_id}/schedules", {**schedule, "parameters": {"date": "yesterday"}})
    assert made.status == 200, made
    span = {"start_date": str(FIRST_FILLED), "end_date": str(FIRST_FILLED + timedelta(days=filled - 1))}
    queued = rest.call("POST", f"/api/v1/tenants/{tenant_id}/schedules/{made.body['config_id']}:backfill", span)
    assert queued.status == 200, queued
    return Tenant(tenant_id=tenant_id, project=project, rest=rest, filled=filled)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.upgrade")
    parser.add_argument("old", type=Path, help="another checkout, after `make gen`")
    parser.add_argument("--tenants", type=int, default=3)
    parser.add_argument("--filled", type=int, default=6, help="days that each tenant has in the queue")
    parser.add_argument("--seconds", type=float, default=20.0, help="of traffic in each phase")
    parser.add_argument("--how", choices=("stop", "kill", "mixed"), default="stop", help="what becomes of the old services (%(default)s)")
    parser.add_argument("--state", type=Path, help="a folder that keeps all data and logs")
    given = parser.parse_args()
    if given.state:
        return with_emulators(given, given.state.resolve())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return with_emulators(given, Path(folder))


def with_emulators(given: argparse.Namespace, folder: Path) -> int:
    """Returns the exit status."""
    emulators = LocalSettings.on_free_ports(folder / "emulators", cache_dir=REPOSITORY / ".cache", lease_seconds=30)
    with Stack(emulators, only=("bigquery", "kms"), report=say) as stack:
        return upgrade(given, emulators, stack.env["BIGQUERY_EMULATOR_HOST"], folder)


def peers(folder: Path, host: str) -> tuple[dict[str, int], dict[str, int], dict[str, str]]:
    """The ports of old and new services, and what makes the old ones call both; both get the same certificates."""
    numbers = free_ports(2 * len(SERVICES))
    old, new = (dict(zip(SERVICES, some, strict=True)) for some in (numbers[: len(SERVICES)], numbers[len(SERVICES) :]))
    certs.mint(folder / "certs")
    for one in ("old", "new"):
        shutil.copytree(folder / "certs", folder / one / "certs")
    return old, new, {f"CONVERGENCE_{one.upper()}_ADDRESS": f"ipv4:{host}:{old[one]},{host}:{new[one]}" for one in SERVICES}


def upgrade(given: argparse.Namespace, emulators: LocalSettings, host: str, folder: Path) -> int:
    """Returns the exit status."""
    old, new = (Checkout(folder=one.resolve(), emulators=emulators, extra=EXTRA) for one in (given.old, REPOSITORY))
    old_ports, new_ports, both = peers(folder, emulators.host)
    say(f"the old bootstrap: {old.bootstrap().strip()[:100]}")
    key = new_rsa()
    with old.running("old", folder / "old", ports=old_ports, extra=both if given.how == "mixed" else {}) as before:
        tenants = [make_tenant(number, before, key, host, given.filled) for number in range(given.tenants)]
        traffic = Traffic(tenants)
        say("calls and jobs through the old gateway")
        traffic.begin("old", before.admin)
        time.sleep(given.seconds / 2)
        say(f"what the new bootstrap would do: {new.bootstrap('--dry-run').strip().splitlines()[-1]}")
        with ThreadPoolExecutor(2) as pool:
            for printed in pool.map(lambda _: new.bootstrap(), range(2)):
                say(f"a new bootstrap: {printed.strip()[:100]}")
        time.sleep(given.seconds / 2)
        with new.running("new", folder / "new", ports=new_ports) as after:
            say("calls and jobs through both gateways")
            traffic.begin("new", after.admin)
            time.sleep(given.seconds)
            say("no more calls through the old gateway")
            traffic.end("old")
            end_old(given, before, traffic)
            time.sleep(given.seconds)
            with emulated_warehouse(host, emulators.project) as client:
                # While the jobs come; then what the last calls have started.
                wait_for_end(client, tenants, seconds=300)
                traffic.end("new")
                left = wait_for_end(client, tenants, seconds=120)
                # The last settlements are gathered for some seconds.
                time.sleep(15)
                return judge(traffic, [(tenant, count(client, tenant)) for tenant in tenants], left, may_fail=given.how == "kill")


def end_old(given: argparse.Namespace, before: Running, traffic: Traffic) -> None:
    """Ends the old services, of which calls still need those that other old ones call."""
    if given.how == "mixed":
        say("jobs through the old gateway, whose scheduler and executor call the new services")
        traffic.begin("old scheduler", before.admin, paths=["schedules"])
        for part in ("auth", "credentials", "executor"):
            before.stop(part)
            say(f"the old {part} has ended")
            time.sleep(given.seconds)
        traffic.end("old scheduler")
        before.stop("scheduler")
        return
    for part in ("scheduler", "executor"):
        (before.kill if given.how == "kill" else before.stop)(part)
        say(f"the old {part} has ended")


def judge(traffic: Traffic, counts: list[tuple[Tenant, Count]], left: int, *, may_fail: bool) -> int:
    """Prints the counts; 1 if something is wrong. `may_fail`: a called run whose executor was killed is FAILED, which its caller sees; a
    scheduled one is tried again.
    """
    problems = [f"refused: {one}" for one in traffic.seen.refused] + ([f"{left} runs have not ended"] if left else [])
    called, scheduled = Counter[str](), Counter[str]()
    for tenant, found in counts:
        called += found.called
        scheduled += found.scheduled
        problems += [f"{tenant.tenant_id} doubled: {one}" for one in found.doubled]
        expected = {"run": len(tenant.started) + tenant.filled, "live": 0}
        if {name: found.quota[name] for name in expected} != expected:
            problems.append(f"{tenant.tenant_id} counted {found.quota}, expected {expected}")
    if called["missing"] or called["RUNNING"] or (called["FAILED"] and not may_fail) or set(scheduled) != {"COMPLETED"}:
        problems.append(f"lost: called {dict(called)}, scheduled {dict(scheduled)}")
    say(f"answers: {dict(traffic.seen.answers)}")
    say(f"runs that calls have started: {dict(called)}; scheduled: {dict(scheduled)}")
    say(f"called runs that FAILED: {dict(sum((found.failures for _, found in counts), Counter[str]()))}")
    for problem in problems:
        print(problem)
    say(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
