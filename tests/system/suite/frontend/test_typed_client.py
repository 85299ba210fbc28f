"""docs/frontend.md's typed client (`make frontend`): its types come from the running gateway, it compiles, and a page by Vite runs it."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import requests

from services.platform.settings import REPOSITORY
from tests.support.browser import running_browser
from tests.support.credentials.samples import Rsa
from tests.support.frontend_doc import ORIGIN, blocks
from tests.system.tenants import Suite

pytestmark = [
    pytest.mark.skipif(not os.environ.get("FRONTEND"), reason="needs npm: `make frontend` brings what it uses"),
    pytest.mark.timeout(180),
]
TOOLS = REPOSITORY / ".cache/frontend"
TSCONFIG = """{
  "compilerOptions": {
    "strict": true, "noUncheckedIndexedAccess": true, "noEmit": true,
    "module": "esnext", "moduleResolution": "bundler", "target": "es2022", "lib": ["es2022", "dom"]
  },
  "include": ["src"]
}"""
MAIN = """import {lastRuns} from "./runs";
const query = new URLSearchParams(location.hash.slice(1));
document.body.innerText = (await lastRuns(query.get("tenant")!, query.get("token")!)).join("\\n");
"""
INDEX = '<!doctype html><html><body><script type="module" src="/src/main.ts"></script></body></html>'


@pytest.fixture
def project(running: Suite, tmp_path: Path) -> Path:
    """The document's project, but for its page."""
    (tmp_path / "src").mkdir()
    (tmp_path / "node_modules").symlink_to(TOOLS / "node_modules")
    (tmp_path / "src/runs.ts").write_text(blocks(running.env["GATEWAY_URL"])["src/runs.ts"])
    (tmp_path / "src/main.ts").write_text(MAIN)
    (tmp_path / "tsconfig.json").write_text(TSCONFIG)
    (tmp_path / "index.html").write_text(INDEX)
    run(tmp_path, "openapi-typescript", f"{running.env['GATEWAY_URL']}/openapi.json", "--output", "src/gateway.d.ts")
    return tmp_path


def run(project: Path, tool: str, *arguments: str) -> None:
    ran = subprocess.run([TOOLS / "node_modules/.bin" / tool, *arguments], cwd=project, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture
async def vite(project: Path) -> AsyncIterator[None]:
    """Vite's server at its usual port."""
    with (project / "vite.log").open("w") as log:
        server = subprocess.Popen([TOOLS / "node_modules/.bin/vite", "--strictPort"], cwd=project, stdout=log, stderr=subprocess.STDOUT)
    try:
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(is_up):
                assert server.poll() is None, (project / "vite.log").read_text()
                await asyncio.sleep(0.2)
        yield
    finally:
        server.terminate()
        server.wait(timeout=10)


def is_up() -> bool:
    try:
        return requests.get(ORIGIN, timeout=5).ok
    except requests.ConnectionError:
        return False


async def test_it_compiles_and_shows_the_last_runs(running: Suite, private_key: Rsa, project: Path, vite: None) -> None:
    assert shutil.which("node")
    run(project, "tsc", "--project", ".")
    tenant = running.tenant(private_key, project="no-billing-export")
    assert tenant.set_credentials().status == 200
    tenant.finished(tenant.start("2025-11-17"))
    session = tenant.rest.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/session-tokens", {})
    async with running_browser() as browser:
        page = await browser.new_page()
        await page.goto(f"{ORIGIN}/#tenant={tenant.tenant_id}&token={session.body['session_token']}")
        await page.get_by_text(f"{tenant.tenant_id}-gcp-cost-billing: FAILED").wait_for(timeout=20_000)
