"""Keeps on disk what was parsed and translated, for other emulators and later ones.

Every emulator starts without known statements, and each of the largest scripts takes half a second the first time; a suite of tests starts
twenty emulators. Kept entries are checked at every use as if this process had made them: they only save the parsing.

A file for each text, in a folder for each version of the code; a file that was not read for a week is deleted.
"""

import contextlib
import hashlib
import os
import pickle
import tempfile
import time
from collections.abc import Hashable
from importlib.metadata import version
from pathlib import Path
from typing import Any

LEAST_SECONDS = 0.004
"""CPU that something must have taken to be worth a file: a file costs a tenth of that."""
UNREAD_SECONDS = 7 * 24 * 3600.0
PACKAGES = ("local-bigquery", "sqlglot", "duckdb")

_folder: Path | None = None


def install(home: Path) -> None:
    """Keeps them in a folder of `home`, which only its owner may enter. Nothing is kept on disk before that, nor where it cannot be."""
    global _folder  # noqa: PLW0603 - one folder for the process
    shelves = home / "statements"
    folder = shelves / _version_of_the_code()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shelves.chmod(0o700)
    except OSError:
        return
    _folder = folder
    for path in shelves.glob("*/*"):
        # Another emulator may be doing the same.
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - UNREAD_SECONDS:
                path.unlink()
                path.parent.rmdir()


def reset() -> None:
    """Keeps nothing on disk from here on."""
    global _folder  # noqa: PLW0603 - see above
    _folder = None


def find(kind: str, key: Hashable) -> Any:
    """What was kept; None if there is nothing, or nothing that can be read."""
    if _folder is None:
        return None
    path = _path(_folder, kind, key)
    try:
        found_key, found = pickle.loads(path.read_bytes())  # noqa: S301 - written below, in a folder of its owner's
        os.utime(path)
    except FileNotFoundError:
        return None
    except Exception:  # noqa: BLE001 - whatever is wrong with the file, the text can be parsed
        return None
    return found if found_key == key else None


def keep(kind: str, key: Hashable, value: Any, *, seconds: float) -> None:
    """Keeps it, if it took enough CPU to be worth a file. A disk that is full or read-only does not fail the statement."""
    if _folder is None or seconds < LEAST_SECONDS:
        return
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(dir=_folder, delete=False) as file:
        file.write(pickle.dumps((key, value)))
        Path(file.name).replace(_path(_folder, kind, key))


def _path(folder: Path, kind: str, key: Hashable) -> Path:
    return folder / hashlib.sha256(f"{kind}\n{_in_order(key)!r}".encode()).hexdigest()


def _in_order(key: Any) -> Any:
    """The same for equal keys in every process: sets have no order of their own."""
    if isinstance(key, frozenset):
        return "set", sorted(key)
    return tuple(_in_order(part) for part in key) if isinstance(key, tuple) else key


def _version_of_the_code() -> str:
    """What the translations depend on beside the texts: the packages, and the code of this one."""
    digest = hashlib.sha256("\n".join(f"{name} {version(name)}" for name in PACKAGES).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
