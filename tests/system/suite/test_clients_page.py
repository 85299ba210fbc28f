"""docs/clients.md: every code block does what the page says, outside this repository: Python with the client's wheel and what it depends
on, plain gRPC with stubs that the page's own command generates.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from convergence.client import Client, Profile, read_profiles

from services.platform.settings import REPOSITORY
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite

pytestmark = pytest.mark.timeout(300)
PAGE = REPOSITORY / "docs/clients.md"
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SCOPES = ["audit:read", "costs:read", "credentials:write", "pipelines:run", "runs:read", "schedules:write"]
RUNNER = """
import pathlib, sys
for name in sys.argv[1:]:
    print(f"--- {name}", flush=True)
    exec(compile(pathlib.Path(name).read_text(), name, "exec"), {"__name__": "__main__"})
"""
"""One process for all blocks, each with names of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The blocks of the page in order, and the folder of a project that follows it."""

    blocks: Sequence[tuple[str, str]]
    project: Path
    environment: Mapping[str, str]

    def of(self, language: str, *, plain: bool | None = None) -> list[str]:
        """The blocks in a language; `plain`: those that do, or do not, use the client."""
        found = [text for tag, text in self.blocks if tag == language]
        return [text for text in found if plain is None or ("convergence.client" not in text) == plain]

    def run(self, *command: str, cwd: Path | None = None, **environment: str) -> str:
        done = subprocess.run(
            command,
            cwd=cwd or self.project,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command[:3])}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, interpreter: Sequence[str], blocks: Sequence[str], **environment: str) -> str:
        names = [f"block_{index}.py" for index, _ in enumerate(blocks)]
        for name, text in zip(names, blocks, strict=True):
            (self.project / name).write_text(text)
        return self.run(*interpreter, "-W", "error", "-c", RUNNER, *names, cwd=None, **environment)


@pytest.fixture(scope="module")
def page(running: Suite, private_key: Rsa, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """With a tenant whose export has rows of yesterday, and its variables as the page names them. It may run once a day, so that the second
    run that the page starts is refused as it says.
    """
    tenant = running.tenant(private_key, daily_limit=1)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    load(running.env["BIGQUERY_EMULATOR_HOST"], f"{tenant.project}.exports.gcp_billing_export_v1_{ACCOUNT}", many(yesterday, 50), STANDARD)
    assert tenant.set_credentials().status == 200
    with Client(running.env["GATEWAY_URL"], admin_key=running.env["ADMIN_API_KEY"]) as operator:
        key = operator.keys.create(tenant_id=tenant.tenant_id, scopes=SCOPES).api_key
    project = tmp_path_factory.mktemp("project")
    environment = {
        "PATH": f"{project}:{REPOSITORY / '.venv/bin'}:{os.environ['PATH']}",
        "HOME": str(project),
        "CONVERGENCE_URL": running.env["GATEWAY_URL"],
        "CONVERGENCE_TENANT_ID": tenant.tenant_id,
        "CONVERGENCE_API_KEY": key,
    }
    return Page(blocks=BLOCK.findall(PAGE.read_text()), project=project, environment=environment)


def test_every_block_is_of_a_kind_that_is_run_here(page: Page) -> None:
    assert {language for language, _ in page.blocks} == {"python", "sh", "toml"}
    assert [len(page.of("sh")), len(page.of("toml")), len(page.of("python", plain=True))] == [4, 1, 2]


def test_the_client_s_blocks_run_with_its_wheel_alone(page: Page) -> None:
    build, install, *_ = page.of("sh")
    # An environment with the wheel and what it depends on, as uv.lock has it. It is made by `make client` as on the page, if it is stale.
    assert build.startswith("make client ")
    in_repository: dict[str, Any] = {"cwd": REPOSITORY, "HOME": os.environ["HOME"], "PATH": os.environ["PATH"]}
    page.run("make", "--no-print-directory", ".cache/client/.stamp", **in_repository)
    wheel_python = str(REPOSITORY / ".cache/client/bin/python")
    uv = page.run("make", "--no-print-directory", "--eval=which-uv: ; @echo $(abspath $(UV))", "which-uv", **in_repository).strip()
    (page.project / "pip").write_text(f'#!/bin/sh\nexec "{uv}" pip "$1" --no-deps --python "{wheel_python}" "$2"\n')
    (page.project / "pip").chmod(0o700)
    for built in (REPOSITORY / "dist").glob("convergence_client-*.whl"):
        shutil.copy(built, page.project)
    page.run("bash", "-euc", install)

    printed = page.python([wheel_python], page.of("python", plain=False))

    assert re.search(r"^COMPLETED 50 \$\d", printed, re.MULTILINE), printed
    assert re.search(r"^extract COMPLETED$", printed, re.MULTILINE), printed
    assert "gcp cost billing" in printed
    assert "used up for another" in printed
    assert "parameters.date" in printed
    assert re.search(r"^RUN_NOT_FOUND .+ [0-9a-f-]{36}$", printed, re.MULTILINE), printed
    services = page.run(wheel_python, "-c", "import importlib.util as u; print([u.find_spec(n) for n in ('services', 'console')])")
    assert services == "[None, None]\n"


def test_plain_grpc_runs_with_stubs_that_the_page_s_command_generates(page: Page) -> None:
    page.run("bash", "-euc", page.of("sh")[2])
    # Without the links to this repository that its environment has: only what pip would have installed, and the stubs.
    path = f"{page.project}:{sysconfig.get_path('purelib')}"

    printed = page.python([sys.executable, "-S"], page.of("python", plain=True), PYTHONPATH=path)

    assert "NOT_FOUND RUN_NOT_FOUND" in printed.replace("StatusCode.", ""), printed
    assert "COMPLETED" in printed.splitlines()[-1], printed


def test_the_profiles_file_is_one(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text(page.of("toml")[0])
    path.chmod(0o600)
    profiles = read_profiles(path)
    assert profiles.named(profiles.default) == Profile(url="http://127.0.0.1:8080", tenant_id="acme_corp", api_key="...")


def test_curl_answers_as_json_with_the_words_of_the_page(page: Page) -> None:
    answer = page.run("bash", "-euc", page.of("sh")[3])
    assert '"rows_processed":"50"' in answer
