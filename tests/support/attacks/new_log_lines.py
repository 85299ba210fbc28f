"""What the services have logged since one has looked last."""

import json
from pathlib import Path

from localcloud.settings import SERVICES
from tests.support.api.conformance import rpcs
from tests.support.invariants.logs import UNEXPECTED
from tools.openapi.refusals import refusals


class NewLogLines:
    """Of `{service}.log` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / f"{name}.log" for name in SERVICES]
        self._read = {file: file.stat().st_size for file in self._files}

    def faults(self) -> list[str]:
        """The new lines that tell of an exception that was not expected, or of a refusal that the RPC does not declare."""
        found = list[str]()
        for file in self._files:
            with file.open("rb") as log:
                log.seek(self._read[file])
                new = log.read()
                self._read[file] = log.tell()
            lines = new.decode(errors="replace").splitlines()
            found += [line for line in lines if any(mark in line for mark in UNEXPECTED) or is_undeclared_refusal(line)]
        return found


def is_undeclared_refusal(line: str) -> bool:
    """The line is about a public RPC that was refused for a reason that its proto does not name."""
    if '"event": "rpc"' not in line:
        return False
    logged = json.loads(line)
    rpc = rpcs().get(logged["rpc"].rpartition("/")[2])
    return rpc is not None and logged["reason"] is not None and logged["reason"] not in refusals(rpc)
