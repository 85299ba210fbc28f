"""`python -m localcloud demo`: starts a second suite beside any other, runs flows 1, 2 and 3 and the pipelines of all three clouds, and
stops it again.
"""

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator

import requests

from localcloud.demo.clouds_flow import CloudsFlow
from localcloud.demo.demo_flow import DemoFlow, emulated_warehouse
from localcloud.demo.narrator import Narrator, Unexpected
from localcloud.demo.schedule_flow import ScheduleFlow
from localcloud.processes.process import PortInUse, ProcessFailed
from localcloud.processes.suite import WITH_SAMPLE
from localcloud.processes.wrong_settings import WrongSettings
from localcloud.rest import Rest
from localcloud.settings import SAMPLE_TENANT, LocalSettings
from localcloud.stack import Stack

# The services' default intervals are for production; the demo shortens them.
QUICK = {"CONVERGENCE_POLL_SECONDS": "0.5", "CONVERGENCE_JOURNAL_GATHER_SECONDS": "0.5", "CONVERGENCE_RETRY_BASE_SECONDS": "1"}


def demo(settings: LocalSettings) -> int:
    """Returns 0 if every result was as expected; otherwise 1, after printing the difference.

    Uses a stack of its own, on free ports and in `{state_dir}-demo`, created anew each time: data of `up` is not touched.
    """
    state = settings.state_dir.with_name(f"{settings.state_dir.name}-demo")
    shutil.rmtree(state, ignore_errors=True)
    own = LocalSettings.on_free_ports(state, cache_dir=settings.cache_dir, sample_rows=settings.sample_rows, cloud_scheduler=False)
    began = time.monotonic()
    try:
        with Stack(own, only=WITH_SAMPLE, auto_restart=False, extra={"scheduler": QUICK}) as stack:
            print(f"The suite is up after {time.monotonic() - began:.1f} s: gateway {stack.env['GATEWAY_URL']}, logs in {own.logs_dir}")
            url = stack.env["GATEWAY_URL"]
            admin = Rest(url=url, headers={"X-Admin-Key": stack.env["ADMIN_API_KEY"]})
            warehouse, narrator = emulated_warehouse(stack.env["BIGQUERY_EMULATOR_HOST"], own.project), Narrator()
            tenant = DemoFlow(
                admin=admin,
                tenant=Rest(url=url, headers={}),
                warehouse=warehouse,
                credentials_file=own.sample_credentials,
                project=own.project,
                narrator=narrator,
            ).run()
            ScheduleFlow(
                admin=admin,
                tenant=tenant,
                warehouse=warehouse,
                control_dataset=f"{own.project}.{own.control_dataset}",
                outage=lambda: _without(stack, "kms"),
                narrator=narrator,
            ).run()
            CloudsFlow(
                tenant=tenant,
                warehouse=warehouse,
                dataset=f"{own.project}.{SAMPLE_TENANT}",
                aws=stack.env["AWS_EMULATOR_HOST"],
                narrator=narrator,
            ).run()
    except (Unexpected, TimeoutError, requests.RequestException, ProcessFailed, PortInUse, WrongSettings) as problem:
        print(f"\nThe demo FAILED: {problem}\nLogs are in {own.logs_dir}.", file=sys.stderr)
        return 1
    print(f"\nAll as expected, {time.monotonic() - began:.1f} s in all. `make up` keeps the suite running and shows how to call it.")
    return 0


@contextlib.contextmanager
def _without(stack: Stack, process: str) -> Iterator[None]:
    """Stops the process while the context is open."""
    stack.stop_process(process)
    try:
        yield
    finally:
        stack.restart(process)
