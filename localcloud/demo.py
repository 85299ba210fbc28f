"""`python -m localcloud demo`: starts the suite beside whatever else runs here, tells the story, stops it again."""

import shutil
import sys
import time

import requests

from localcloud.part import PartFailed, PortInUse
from localcloud.parts import WITH_SAMPLE
from localcloud.rest import Rest
from localcloud.settings import LocalSettings
from localcloud.stack import Stack
from localcloud.story import Story, Unexpected, emulated_warehouse


def demo(settings: LocalSettings) -> int:
    """0 if everything came back as the story has it; 1, saying what did not, otherwise.

    A stack of its own, on free ports and in `{state_dir}/demo`, made anew each time: what `up` keeps is left alone.
    """
    state = settings.state_dir / "demo"
    shutil.rmtree(state, ignore_errors=True)
    own = LocalSettings.on_free_ports(state, cache_dir=settings.cache_dir, sample_rows=settings.sample_rows, cloud_scheduler=False)
    began = time.monotonic()
    try:
        with Stack(own, only=WITH_SAMPLE, auto_restart=False) as stack:
            print(f"The suite is up after {time.monotonic() - began:.1f} s: gateway {stack.env['GATEWAY_URL']}, logs in {own.logs_dir}")
            url = stack.env["GATEWAY_URL"]
            Story(
                admin=Rest(url=url, headers={"X-Admin-Key": stack.env["ADMIN_API_KEY"]}),
                tenant=Rest(url=url, headers={}),
                warehouse=emulated_warehouse(stack.env["BIGQUERY_EMULATOR_HOST"], own.project),
                credentials_file=own.sample_credentials,
                project=own.project,
            ).run()
    except (Unexpected, TimeoutError, requests.RequestException, PartFailed, PortInUse) as problem:
        print(f"\nThe demo FAILED: {problem}\nLogs are in {own.logs_dir}.", file=sys.stderr)
        return 1
    print(f"\nAll as expected, {time.monotonic() - began:.1f} s in all. `make up` keeps the suite running and says how to call it.")
    return 0
