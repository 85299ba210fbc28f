"""What must hold of containers that run, and how large their images are."""

import subprocess
import sys

from tools.containers.container_engine import Engine, run

WRITES = """
import os, sys
for path in ("/written", "/app/written", "/app/services/written", "/usr/written"):
    try:
        open(path, "w")
    except OSError as error:
        print(os.getuid(), error.strerror)
    else:
        sys.exit(f"{path} can be written")
"""
READ_ONLY = "Read-only file system"


def check_containers(engine: Engine, parts: list[str]) -> None:
    """Prints a line for each part. Raises AssertionError naming one that runs as root, or on a file system that can be written."""
    for part in parts:
        name = engine.container(part)
        [found] = engine.inspect("--type", "container", name)
        answers = set(engine.ask("exec", name, "python", "-c", WRITES).splitlines())
        is_set = found["HostConfig"]["ReadonlyRootfs"]
        if not is_set or answers != {f"10001 {READ_ONLY}"}:
            raise AssertionError(
                f"{part}: read-only root {is_set}; as whom it writes outside of its volumes, and what it is answered: {answers}"
            )
        print(f"  {part:<16} user 10001, read-only root")


def check_ports(engine: Engine) -> None:
    """Gateway and console answer where this machine's callers find them. Raises CalledProcessError if one does not."""
    for variable, path in (("GATEWAY_PORT", "readyz"), ("CONSOLE_PORT", "healthz")):
        url = f"http://127.0.0.1:{engine.variables[variable]}/{path}"
        run(*engine.inside, sys.executable, "-m", "services.probe", url)
        print(f"  {url} answers")


def sizes(engine: Engine, base: str) -> list[str]:
    """A line for each image: its size, and how much of it is above the base, where that is here as an image."""
    try:
        below = _size(engine, base)
    except subprocess.CalledProcessError:
        below = 0
    lines = []
    for image in engine.images():
        size = _size(engine, image)
        above = f", {(size - below) / 1e6:.0f} MB above the base" if below else ""
        lines.append(f"  {image:<24} {size / 1e6:.0f} MB{above}")
    return lines


def _size(engine: Engine, image: str) -> int:
    [found] = engine.inspect("--type", "image", image)
    size: int = found["Size"]
    return size
