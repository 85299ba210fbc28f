"""Files that hold secrets: readable only by their owner from the start, and never partially written."""

import os
import tempfile
from pathlib import Path


def check_writable(path: str | Path) -> None:
    """Raises OSError if `write_secret` could not make the file, before there is a secret to lose."""
    handle, temporary = tempfile.mkstemp(dir=Path(path).parent, prefix=".convergence-")
    os.close(handle)
    Path(temporary).unlink()


def write_secret(path: str | Path, text: str) -> None:
    """Replaces the file in one step, with mode 0600. Raises OSError."""
    target = Path(path)
    # mkstemp makes it 0600 whatever the umask says.
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{text}\n")
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
