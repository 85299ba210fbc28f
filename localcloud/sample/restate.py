"""`python -m localcloud.sample restate aws`: what a cloud does for weeks after a month's end, at once, in the stack that is running."""

import argparse
import socket
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from localcloud.processes.environment import read_env_file
from localcloud.sample.aws.export import restate as restate_aws
from localcloud.sample.azure.tenant import restate_azure
from localcloud.settings import LocalSettings
from services.platform.environment.reading import read


def restate_month(cloud: str, month: date, environment: dict[str, str]) -> int:
    """A credit more and one charge doubled, delivered as the cloud does: the month's number of rows. `cloud`: aws or azure.
    `environment`: that of `.local/env`.
    """
    if cloud == "aws":
        return restate_aws(environment["AWS_EMULATOR_HOST"], month)
    return restate_azure(environment["AZURE_EMULATOR_HOST"], Path(environment["CLOUD_EMULATOR_CA"]), month)


def restate_main(words: Sequence[str]) -> None:
    """Restates last month of the sample tenant's export. Exits with a sentence if no stack is running."""
    settings = read(LocalSettings)
    parser = argparse.ArgumentParser(
        prog="python -m localcloud.sample restate", description="A cloud corrects last month: a credit more, one charge doubled."
    )
    parser.add_argument("cloud", choices=("aws", "azure"))
    cloud = parser.parse_args(words).cloud
    environment = read_env_file(settings.env_file)
    if not _answers(environment.get(f"{cloud.upper()}_EMULATOR_HOST", "")):
        parser.exit(1, f"No stack of {settings.state_dir} is running. Start it with `make up`, and call this beside it.\n")
    month = (datetime.now(UTC).date().replace(day=1) - timedelta(days=1)).replace(day=1)
    rows = restate_month(cloud, month, environment)
    print(f"{cloud} has delivered {month:%Y-%m} anew, with {rows} rows. Run {cloud}/cost/focus with `months: open`.")


def _answers(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=5).close()
    except OSError:
        return False
    return True
