"""`python -m localcloud up`: the whole suite with the sample tenant's data, until Ctrl-C."""

import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from types import FrameType

from localcloud.broken_templates import BrokenTemplates
from localcloud.instructions import how_to_call
from localcloud.processes.given import given_settings
from localcloud.processes.process import PortInUse, ProcessFailed
from localcloud.processes.suite import ALL
from localcloud.processes.wrong_settings import WrongSettings
from localcloud.settings import SAMPLE_TENANT, LocalSettings
from localcloud.stack import Stack

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(settings: LocalSettings) -> int:
    """Returns when everything has stopped: 0 after a request to stop, 1 if the stack did not start."""
    for number in ENDING:
        signal.signal(number, _end)
    began = time.monotonic()
    given = given_settings(settings, os.environ)
    for line in given.lines():
        print(line, flush=True)
    try:
        with Stack(settings, only=ALL, extra=given.extra):
            print(f"Ready after {time.monotonic() - began:.1f} s.\n")
            gateway = f"http://{settings.address('gateway')}"
            print(f"The gateway: {gateway}, for REST and gRPC; its API reference: {gateway}/docs")
            print(f"The console: http://{settings.address('console')} (sign in with the tenant's key, or with the admin key)\n")
            yesterday = datetime.now(UTC).date() - timedelta(days=1)
            print(
                how_to_call(
                    tenant=SAMPLE_TENANT,
                    day=yesterday,
                    env_file=settings.env_file,
                    credentials_file=settings.sample_credentials,
                    logs_dir=settings.logs_dir,
                    jobs_fire=settings.cloud_scheduler,
                ),
                flush=True,
            )
            with BrokenTemplates(settings.logs_dir / "executor.log", _say):
                while True:
                    signal.pause()
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
        return 0
    except (ProcessFailed, PortInUse, WrongSettings) as problem:
        print(problem, file=sys.stderr)
        return 1


def _say(line: str) -> None:
    print(line, flush=True)


def _end(_number: int, _frame: FrameType | None) -> None:
    # After a second Ctrl-C we exit at once, and the kernel ends the processes.
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt
