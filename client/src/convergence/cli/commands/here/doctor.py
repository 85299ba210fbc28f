"""`convergence doctor`: what is wrong with an installation."""

from collections.abc import Iterator
from typing import Annotated

import typer
from convergence.cli.doctor.examine import examine
from convergence.cli.doctor.finding import Looked
from convergence.cli.doctor.installation import Installation
from convergence.cli.doctor.local import examine_local
from convergence.cli.doctor.report import show
from convergence.cli.exits import ExitCode
from convergence.cli.invocation import Invocation
from convergence.cli.noun import declare
from convergence.client.errors import ConfigurationError


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    declare(app, "doctor", path="doctor", example="convergence doctor --json | jq -r '.checks[].findings[].name'")(doctor)


def doctor(
    cli: Invocation,
    *,
    local: Annotated[
        bool, typer.Option("--local", help="Also look from the inside, with the services' settings: tables, KMS key, certificates, roles.")
    ] = False,
    origin: Annotated[
        str, typer.Option("--origin", metavar="URL", help="Also check that pages of this origin may call.", show_default=False)
    ] = "",
) -> None:
    """Find out what is wrong with an installation; each problem comes with the command that corrects it. Ends with 1 if there is any.

    With --local it runs in a clone, where `make up` runs, or in a service's container, where it is `python -m services.doctor`.
    """
    is_healthy = show(cli.printer, _looked(cli, local=local, origin=origin))
    cli.end(ExitCode.OK if is_healthy else ExitCode.FAILED)


def _looked(cli: Invocation, *, local: bool, origin: str) -> Iterator[Looked]:
    if local:
        yield from examine_local()
    try:
        client = cli.client
    except ConfigurationError as error:
        if not local:
            raise
        yield Looked(check="gateway", skipped=error.message)
        return
    with Installation.of(client, origin=origin) as installation:
        yield from examine(installation)
