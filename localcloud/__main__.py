"""`python -m localcloud`: the suite on this machine."""

import argparse
import sys

from localcloud.settings import LocalSettings
from localcloud.up import up


def main() -> int:
    """Runs the command and returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m localcloud", description="The whole suite on this machine. Ports and directories: LOCALCLOUD_* variables."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser("up", help="start everything, load the sample tenant's data, say how to call it, run until Ctrl-C")
    command.add_argument("--rows", type=int, default=LocalSettings().sample_rows, help="rows a day in the sample export (%(default)s)")
    options = parser.parse_args()
    return up(LocalSettings(sample_rows=options.rows))


if __name__ == "__main__":
    sys.exit(main())
