"""`python -m localcloud`: runs the suite on this machine."""

import argparse
import os
import sys

from localcloud.demo.demo import demo
from localcloud.doctor import doctor
from localcloud.processes.wrong_settings import all_wrong
from localcloud.settings import ENV_PREFIX, LocalSettings
from localcloud.up import up
from services.platform.environment.reading import read, variables
from services.platform.environment.unknown import unknown


def main() -> int:
    """Runs the command and returns its exit status: 2 if an option or a setting is wrong."""
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
        command.add_argument("--rows", type=_rows, help=f"rows a day in the sample export, instead of {ENV_PREFIX}SAMPLE_ROWS")
        command.set_defaults(function=function)
    options = parser.parse_args()
    for one in unknown(os.environ, variables(LocalSettings), prefix=ENV_PREFIX):
        print(one, file=sys.stderr)
    if options.function is up and (wrong := all_wrong(os.environ)):
        sys.stderr.write("".join(f"Nothing is started: {one}\n" for one in wrong))
        return 2
    settings = read(LocalSettings)
    status: int = options.function(settings if options.rows is None else settings.model_copy(update={"sample_rows": options.rows}))
    return status


def _rows(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("give a whole number in digits, e.g. 2000")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
