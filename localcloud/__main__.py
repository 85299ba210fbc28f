"""`python -m localcloud`: runs the suite on this machine."""

import argparse
import os
import sys

from localcloud.demo.demo import demo
from localcloud.doctor import doctor
from localcloud.settings import ENV_PREFIX, LocalSettings
from localcloud.up import up
from services.platform.environment.reading import read, variables
from services.platform.environment.unknown import unknown


def main() -> int:
    """Runs the command and returns its exit status."""
    settings = read(LocalSettings)
    for one in unknown(os.environ, variables(LocalSettings), prefix=ENV_PREFIX):
        print(one, file=sys.stderr)
    parser = argparse.ArgumentParser(
        prog="python -m localcloud", description="The whole suite on this machine. Ports and directories: LOCALCLOUD_* variables."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    does = {
        up: "start everything, load the sample tenant's data, say how to call it, run until Ctrl-C",
        demo: "run flows 1, 2 and 3 and say what is called and what comes back",
        doctor: "say what is wrong with this machine's suite, as JSON; `convergence doctor --local` shows it",
    }
    for function, text in does.items():
        command = commands.add_parser(function.__name__, help=text)
        command.add_argument("--rows", type=int, default=settings.sample_rows, help="rows a day in the sample export (%(default)s)")
        command.set_defaults(function=function)
    options = parser.parse_args()
    status: int = options.function(read(LocalSettings, sample_rows=options.rows))
    return status


if __name__ == "__main__":
    sys.exit(main())
