"""Writes the package `convergence.api` into gen/. Usage: `python -m tools.client_code [OUT]`, OUT defaulting to `gen`."""

import shutil
import sys
from pathlib import Path

from tools.client_code import reasons
from tools.client_code.render import client_module, resource_module
from tools.client_code.surface import Surface

ROOT = Path(__file__).resolve().parents[2]


def texts(surface: Surface) -> dict[str, str]:
    """The modules of the package by their file names."""
    resources = surface.resources()
    return {
        "__init__.py": '"""The typed calls of the client, by resource. Generated; `convergence.client` is what you import."""\n',
        "reasons.py": reasons.module(surface.reasons()),
        "resources.py": client_module(resources),
        **{f"{resource.name}.py": resource_module(resource) for resource in resources},
        "py.typed": "",
    }


def main(out: Path) -> None:
    package = out / "convergence" / "api"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    for name, text in texts(Surface(ROOT / "gen/descriptor.binpb", ROOT / "client/methods.toml")).items():
        (package / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gen")
