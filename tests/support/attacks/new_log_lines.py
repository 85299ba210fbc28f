"""What the services have logged since one has looked last."""

from pathlib import Path

from localcloud.settings import SERVICES
from tests.support.invariants.logs import UNEXPECTED


class NewLogLines:
    """Of `{service}.log` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / f"{name}.log" for name in SERVICES]
        self._read = {file: file.stat().st_size for file in self._files}

    def faults(self) -> list[str]:
        """The new lines that tell of an exception that was not expected."""
        found = list[str]()
        for file in self._files:
            with file.open("rb") as lines:
                lines.seek(self._read[file])
                new = lines.read()
                self._read[file] = lines.tell()
            found += [line for line in new.decode(errors="replace").splitlines() if any(mark in line for mark in UNEXPECTED)]
        return found
