"""Files that hold secrets: readable only by their owner from the start, and never partially written."""

import errno
import os
import tempfile
from pathlib import Path


def check_new(path: str | Path, *, replace: bool) -> None:
    """Raises OSError if `write_secret` could not make the file, before there is a secret to lose: FileExistsError if there is something
    at `path`; with `replace` a regular file may be there.
    """
    if os.path.lexists(path) and not replace:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    if os.path.lexists(path) and not Path(path).is_file():
        raise OSError(errno.EINVAL, "it is no regular file")
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
