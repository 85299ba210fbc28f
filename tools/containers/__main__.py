"""`python -m tools.containers [--rounds N]`: from nothing to a COMPLETED run, N times, with what it took; see the package."""

import argparse
import hashlib
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from localcloud.ports import free_ports
from tools.containers.checks import check_containers, check_ports, sizes
from tools.containers.container_engine import ROOT, Engine
from tools.containers.docker import Docker
from tools.containers.podman import Podman


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.containers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often, each from nothing (%(default)s)")
    options = parser.parse_args()
    if not Docker.is_here() and os.getuid() != 0:
        print("There is no Docker with compose here. Without it this needs a Debian machine and root.", file=sys.stderr)
        return 2
    for number in range(1, options.rounds + 1):
        print(f"Round {number} of {options.rounds}", flush=True)
        one_round()
    return 0


def one_round() -> None:
    """Raises an error if anything is not as it must be; everything is taken down all the same."""
    engine: Engine = (Docker if Docker.is_here() else Podman)(variables())
    [base] = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    try:
        with timed("all, to a COMPLETED run"):
            with timed("base"):
                engine.prepare()
            with timed("three images"):
                engine.build()
            with timed("healthy"):
                engine.start()
            with timed("demo"):
                engine.demo()
        running = [name for name, part in engine.compose["services"].items() if "healthcheck" in part and "profiles" not in part]
        check_containers(engine, running)
        check_ports(engine)
        print("\n".join(sizes(engine, base)), flush=True)
    finally:
        with timed("clean"):
            engine.clean()


def variables() -> dict[str, str]:
    """What docker-compose.yml asks for, as its first lines say."""
    key = f"admin_{secrets.token_hex(32)}"
    gateway, console = free_ports(2)
    return {
        "ADMIN_API_KEY": key,
        "ADMIN_API_KEY_SHA256": hashlib.sha256(key.encode()).hexdigest(),
        "CONVERGENCE_TOKEN_SECRETS": f'["{secrets.token_hex(32)}"]',
        "GATEWAY_PORT": str(gateway),
        "CONSOLE_PORT": str(console),
    }


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Prints how long it took."""
    began = time.monotonic()
    yield
    print(f"== {what}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
