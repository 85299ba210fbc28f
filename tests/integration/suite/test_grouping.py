"""The tests that share a stack share a worker."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from services.platform.settings import REPOSITORY
from tests.support.grouping import GROUPS, group_of, heaviest_first

FILES = [
    "tests/system/load/test_a.py",
    "tests/system/suite/test_flows.py",
    "tests/integration/gateway/test_b.py",
    "tests/integration/sql/test_c.py",
]


def test_a_group_runs_in_one_worker(tmp_path: Path) -> None:
    """A small project with this one's hooks, six tests in each of four files: without the hooks they are dealt out one by one."""
    for name in FILES:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            "import os, pathlib, pytest, time\n"
            "@pytest.mark.parametrize('number', range(6))\n"
            "def test_one(number):\n"
            "    time.sleep(0.01)\n"
            "    pathlib.Path('ran').open('a').write(f\"{__file__}|{os.environ['PYTEST_XDIST_WORKER']}\\n\")\n"
        )
    (tmp_path / "conftest.py").write_text(
        "from tests.support.grouping import GroupScheduling, heaviest_first\n"
        "def pytest_xdist_make_scheduler(config, log):\n    return GroupScheduling(config, log)\n"
        "def pytest_collection_modifyitems(items):\n    heaviest_first(items)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--import-mode=importlib", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {"PYTHONPATH": str(REPOSITORY)}

    ran = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    workers = defaultdict[str, list[str]](list)
    for line in (tmp_path / "ran").read_text().splitlines():
        module, worker = line.split("|")
        workers[module].append(worker)
    assert [len(seen) for seen in workers.values()] == [6] * len(FILES)
    assert [len(set(seen)) for seen in workers.values()] == [1] * len(FILES)
    assert len({worker for seen in workers.values() for worker in seen}) == 2


def test_every_group_has_tests() -> None:
    """A file that was moved would leave its group in silence."""
    assert [beginning for beginning in GROUPS if not (REPOSITORY / beginning).exists()] == []


def test_the_dearest_group_comes_first(request: pytest.FixtureRequest) -> None:
    items = list(reversed(request.session.items))

    heaviest_first(items)

    groups = [group for group in dict.fromkeys(group_of(item.nodeid) for item in items) if group is not None]
    assert groups == [group for group in dict.fromkeys(GROUPS.values()) if group in groups]
