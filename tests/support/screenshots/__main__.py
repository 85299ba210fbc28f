"""`make screenshots`: starts a suite with the sample tenant, lets it run, and writes what a browser sees into docs/images."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from localcloud.processes.suite import ALL
from localcloud.rest import Answer, Rest, until
from localcloud.sample.aws.export import AWS_EXPORT
from localcloud.sample.azure.tenant import AZURE_EXPORT
from localcloud.settings import SAMPLE_TENANT, LocalSettings
from localcloud.stack import Stack
from services.platform.settings import REPOSITORY
from tests.support.browser import Desk, at_desk, running_browser
from tests.support.screenshots.pictures import OPERATOR_PICTURES, TENANT_PICTURES, Picture

IMAGES = REPOSITORY / "docs/images"
MAX_BYTES = 200_000
RUN_SECONDS = 180.0
SCOPES = ["audit:read", "costs:read", "credentials:write", "pipelines:run", "runs:read", "schedules:write"]
RUNS = {
    "gcp/cost/billing": {"days": "changed"},
    "aws/cost/focus": {"months": "open", "export": AWS_EXPORT},
    "azure/cost/focus": {"months": "open", "export": AZURE_EXPORT},
}


def main() -> int:
    """0; 1 if a picture is too large for a README."""
    state = Path(tempfile.mkdtemp(prefix="convergence-screenshots-"))
    settings = LocalSettings.on_free_ports(state / "state", cache_dir=REPOSITORY / ".cache", cloud_scheduler=False)
    try:
        with Stack(settings, only=ALL, auto_restart=False) as stack:
            key, run = prepare(stack.env, settings.sample_credentials.parent)
            url = f"http://{settings.address('console')}"
            written = asyncio.run(shoot(url, key=key, admin_key=stack.env["ADMIN_API_KEY"], run=run))
    finally:
        shutil.rmtree(state, ignore_errors=True)
    large = [path for path in written if path.stat().st_size > MAX_BYTES]
    for path in written:
        print(f"{path.relative_to(REPOSITORY)}: {path.stat().st_size // 1000} kB")
    return 1 if large else 0


def prepare(env: Mapping[str, str], samples: Path) -> tuple[str, str]:
    """Provisions the sample tenant with a schedule, runs a pipeline of each cloud; its API key and a run."""
    anyone = Rest(url=env["GATEWAY_URL"], headers={})
    admin = anyone.but(X_Admin_Key=env["ADMIN_API_KEY"])
    plan = {"company_name": "Acme Corp", "admin_email": "ops@acme.example", "daily_limit": 25, "monthly_limit": 500, "concurrent_limit": 5}
    _good(admin.call("PUT", f"/api/v1/tenants/{SAMPLE_TENANT}", plan))
    key = _good(admin.call("POST", f"/api/v1/tenants/{SAMPLE_TENANT}/api-keys", {"scopes": SCOPES}))["api_key"]
    tenant = anyone.but(X_API_Key=key, X_User_ID="alice@acme.example")
    for file in sorted(samples.glob("*.json")):
        _good(tenant.call("POST", f"/api/v1/tenants/{SAMPLE_TENANT}/credentials", json.loads(file.read_text())))
    runs = {
        name: _good(tenant.call("POST", f"/api/v1/pipelines/run/{SAMPLE_TENANT}/{name}", body))["pipeline_logging_id"]
        for name, body in RUNS.items()
    }
    for run in runs.values():
        until(
            partial(tenant.call, "GET", f"/api/v1/pipelines/runs/{SAMPLE_TENANT}/{run}"),
            lambda one: _good(one)["status"] != "RUNNING",
            seconds=RUN_SECONDS,
            every=1,
        )
    nightly = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "schedule_cron": "30 2 * * *"}
    _good(tenant.call("POST", f"/api/v1/tenants/{SAMPLE_TENANT}/schedules", {**nightly, "timezone": "Europe/Berlin"}))
    for provider in ("GCP", "AWS", "AZURE"):
        _good(tenant.call("POST", f"/api/v1/tenants/{SAMPLE_TENANT}/credentials/{provider}:check", {}))
    return key, runs["gcp/cost/billing"]


async def shoot(url: str, *, key: str, admin_key: str, run: str) -> list[Path]:
    """Writes all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    written = []
    async with running_browser() as browser:
        for pictures, is_operator in ((TENANT_PICTURES, False), (OPERATOR_PICTURES, True)):
            for one in pictures:
                async with at_desk(browser, url, viewport=one.viewport, color_scheme=one.scheme) as desk:
                    await (desk.sign_in_as_operator(admin_key) if is_operator else desk.sign_in(key))
                    await desk.page.get_by_role("button", name="Sign out").wait_for()
                    written.append(await _shot(desk, one, one.path.format(run=run)))
    return written


async def _shot(desk: Desk, picture: Picture, path: str) -> Path:
    await desk.page.goto(f"{desk.url}{path}", wait_until="networkidle")
    file = IMAGES / f"console-{picture.name}.png"
    await desk.page.screenshot(path=file, animations="disabled")
    return file


def _good(answer: Answer) -> dict[str, str]:
    if answer.status != 200:
        raise SystemExit(f"the suite answers {answer.status}: {answer.body}")
    body: dict[str, str] = answer.body
    return body


if __name__ == "__main__":
    sys.exit(main())
