"""`python -m localcloud doctor`: what is wrong with the suite on this machine, seen with its services' settings: those
that `make up` gives them when it is started with the same environment.
"""

import os
import subprocess
import sys

from localcloud.processes.environment import admin_key_of, base_environment, service_environment
from localcloud.processes.given import given_settings
from localcloud.settings import LocalSettings


def doctor(settings: LocalSettings) -> int:
    """Runs `services.doctor` as the services are run; returns its exit status: 0 if nothing is wrong, else 1."""
    given = given_settings(settings, os.environ).extra["bootstrap"]
    environment = {**base_environment(settings), **service_environment(settings, admin_key=admin_key_of(settings)), **given}
    return subprocess.run([sys.executable, "-m", "services.doctor"], env=environment, check=False).returncode
