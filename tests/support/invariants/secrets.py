"""Secrets that were planted, searched for in every file of a stack."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.invariants.violation import Violation

PLACES = ("certs", "env", "kms")
"""In a state directory: private keys of certificates, the admin key, the key ring. Each is readable by its owner only."""


def secrets_outside(root: Path, secrets: Mapping[str, bytes], *, places: Sequence[str] = PLACES) -> Iterator[Violation]:
    """The files below `root` that hold one of the secrets (name -> what to search for), and secret files that others may read."""
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts[0] in places
        if inside:
            if path.is_file() and not path.name.endswith(".lock") and path.stat().st_mode & 0o077:
                yield Violation(invariant="secrets.private", where=str(path), what=f"its mode is {path.stat().st_mode & 0o777:o}")
            continue
        content = _content(path)
        for name, secret in secrets.items():
            if secret in content:
                yield Violation(invariant="secrets.in_their_place", where=str(path), what=f"it holds {name}")


def _content(path: Path) -> bytes:
    # A stack at work: a spool file may be gone before it is read.
    with contextlib.suppress(FileNotFoundError, IsADirectoryError, OSError):
        return path.read_bytes()
    return b""
