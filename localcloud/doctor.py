"""`python -m localcloud doctor`: what is wrong with the suite on this machine, seen with its services' settings."""

import subprocess
import sys

from localcloud.processes.environment import admin_key_of, base_environment, service_environment
from localcloud.settings import LocalSettings


def doctor(settings: LocalSettings) -> int:
    """Runs `services.doctor` as the services are run; returns its exit status: 0 if nothing is wrong, else 1."""
    environment = {**base_environment(settings), **service_environment(settings, admin_key=admin_key_of(settings))}
    return subprocess.run([sys.executable, "-m", "services.doctor"], env=environment, check=False).returncode
