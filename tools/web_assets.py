"""Fetches JavaScript of others into gen/web, as web_assets.toml lists it: `python -m tools.web_assets [FOLDER [LIST]]`."""

import base64
import hashlib
import io
import sys
import tarfile
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".toml")
REGISTRY = "https://registry.npmjs.org"
TIMEOUT_SECONDS = 60


def fetch(package: dict[str, Any], out: Path, registry: str = REGISTRY) -> None:
    """Downloads one package and writes its listed files into `out`.

    Raises SystemExit if the registry does not answer, or if what it sends does not have the listed hash.
    """
    name, version = package["name"], package["version"]
    url = f"{registry}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the registry's address is ours
            archive = answer.read()
    except (urllib.error.URLError, TimeoutError) as error:
        raise SystemExit(f"{url}: {error}. Our web pages need this file: check the network, then `make gen`.") from error
    if integrity(archive) != package["integrity"]:
        raise SystemExit(f"{url}: not the file that is listed. Its hash is {integrity(archive)}.")
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        for path, target in package["files"].items():
            member = files.extractfile(f"package/{path}")
            if member is None:
                raise SystemExit(f"{url} holds no file {path}: correct the list.")
            (out / target).write_bytes(member.read())


def integrity(archive: bytes) -> str:
    """The hash in the form of npm: https://w3c.github.io/webappsec-subresource-integrity."""
    return "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()


def main() -> None:
    """Fetches all packages of the list of the second argument, or web_assets.toml, into the folder of the first, or gen/web."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gen" / "web"
    out.mkdir(parents=True, exist_ok=True)
    listed = Path(sys.argv[2]) if len(sys.argv) > 2 else LIST  # noqa: PLR2004 - the program itself, the folder, the list
    for package in tomllib.loads(listed.read_text())["package"]:
        fetch(package, out)


if __name__ == "__main__":
    main()
