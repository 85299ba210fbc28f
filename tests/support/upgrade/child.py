"""Run by the Python of any checkout, in its folder: processes of that checkout, on emulators that another one has started. It imports only
what every checkout has. Reads one command a line, and answers each with a line of JSON.
"""

import json
import signal
import sys
from pathlib import Path
from typing import Any

# A script's own folder is first on the path; the checkout's must be.
sys.path[0] = str(Path.cwd())

from localcloud.settings import LocalSettings  # noqa: E402
from localcloud.stack import Stack  # noqa: E402


def answer(what: Any) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    given = json.loads(sys.argv[1])
    settings = LocalSettings.on_free_ports(Path(given["state_dir"]), cache_dir=Path(given["cache_dir"]), **given["settings"])
    extra = dict.fromkeys(given["parts"], given["extra"])

    def report(message: str) -> None:
        print(message, file=sys.stderr)

    with Stack(settings, only=given["parts"], auto_restart=False, extra=extra, report=report) as stack:
        answer(stack.env)
        for line in sys.stdin:
            command, _, name = line.strip().partition(" ")
            if command == "kill":
                stack.kill(name, signal.SIGKILL)
            elif command == "stop":
                # Commit 4153373 calls it so.
                getattr(stack, "stop_process" if hasattr(stack, "stop_process") else "stop_part")(name)
            answer(command)


if __name__ == "__main__":
    main()
