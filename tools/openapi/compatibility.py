"""Compares the REST interface with that of the last release: `python -m tools.openapi.compatibility`. `--write` makes a release's contract.

A release's contract is a folder in releases/: its outline, and its descriptor set for `buf breaking`, without comments.
"""

import gzip
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools.openapi.document import openapi
from tools.openapi.outline import NEEDS, outline
from tools.openapi.protos import ROOT, read_descriptors

RELEASES: Final = ROOT / "releases"
OUTLINE, DESCRIPTORS = "rest.txt", "descriptor.binpb.gz"


def breaks(before: Iterable[str], now: Iterable[str]) -> list[str]:
    """What a client of the release `before` cannot rely on any more, or has to send in addition: one line each."""
    old, new = set(before), set(now)
    kept = {line for line in old if NEEDS not in line}
    calls = {line.partition(" is ")[0] for line in old if " is " in line}
    demands = {line for line in new - old if NEEDS in line and line.partition(NEEDS)[0] in calls}
    return [*(f"is gone: {line}" for line in sorted(kept - new)), *(f"is new: {line}" for line in sorted(demands))]


def last_release(releases: Path = RELEASES) -> Path:
    """The folder of the last release. Raises FileNotFoundError if there is none."""
    found = sorted(releases.iterdir(), key=lambda path: tuple(map(int, path.name.split(".")))) if releases.exists() else []
    if not found:
        raise FileNotFoundError(f"{releases} has no release. Run `make release-contract`.")
    return found[-1]


def write_contract(descriptors: FileDescriptorSet, folder: Path) -> None:
    """Writes a release's contract."""
    bare = FileDescriptorSet.FromString(descriptors.SerializeToString())
    for file in bare.file:
        file.ClearField("source_code_info")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / OUTLINE).write_text("\n".join(outline(openapi(descriptors))) + "\n")
    (folder / DESCRIPTORS).write_bytes(gzip.compress(bare.SerializeToString(deterministic=True), mtime=0))


def main(arguments: list[str]) -> int:
    """Exits with 1 and says what breaks, if anything does."""
    descriptors = read_descriptors()
    if arguments == ["--write"]:
        version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        write_contract(descriptors, RELEASES / version.rpartition(".")[0])
        return 0
    release = last_release()
    found = breaks((release / OUTLINE).read_text().splitlines(), outline(openapi(descriptors)))
    for line in found:
        print(f"breaks callers of {release.name}: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
