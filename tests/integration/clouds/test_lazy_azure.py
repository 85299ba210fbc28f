"""A process that serves no tenant of Azure does without Azure's libraries."""

import subprocess
import sys

from services.platform.settings import REPOSITORY

MODULES = ("services.clouds.azure.identity", "services.executor.sources.azure.both_costs", "services.executor.sources.azure.files")


def test_azure_s_libraries_are_imported_when_access_is_opened() -> None:
    program = f"import sys, {', '.join(MODULES)}; print([name for name in ('azure', 'msal') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
