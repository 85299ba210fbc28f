"""`make lighthouse`: starts a suite with the sample tenant, signs in, and lets Lighthouse look at each screen: light, dark, as a phone.

Writes benchmarks/LIGHTHOUSE.md. Exits with 1 if a score is below `LEAST_SCORE`.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from localcloud.ports import free_ports
from localcloud.processes.suite import ALL
from localcloud.settings import SAMPLE_TENANT, LocalSettings
from localcloud.stack import Stack
from services.platform.settings import REPOSITORY
from tests.support.browser import Desk, chromium
from tests.support.lighthouse.screens import LOOKS, OPERATOR_PATHS, TENANT_PATHS, Look, Verdict, report, verdict_of
from tests.support.screenshots.__main__ import prepare

LIGHTHOUSE = REPOSITORY / ".cache/lighthouse/node_modules/lighthouse/cli/index.js"
REPORT = REPOSITORY / "benchmarks/LIGHTHOUSE.md"
SECONDS = 180
"""For one page."""
WHAT = ("--only-categories=accessibility,best-practices", "--only-audits=interactive,server-response-time")
# The session's cookie must stay, and the times be those of this machine.
HOW = ("--disable-storage-reset", "--throttling-method=provided", "--output=json", "--output-path=stdout", "--quiet")


def main() -> int:
    """0; 1 if a score is too low."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="pages whose path contains this; nothing is written then")
    only = parser.parse_args().only
    state = Path(tempfile.mkdtemp(prefix="convergence-lighthouse-"))
    settings = LocalSettings.on_free_ports(state / "state", cache_dir=REPOSITORY / ".cache", cloud_scheduler=False)
    try:
        with Stack(settings, only=ALL, auto_restart=False) as stack:
            key, run = prepare(stack.env, settings.sample_credentials.parent)
            url = f"http://{settings.address('console')}"
            names = {"run": run, "tenant": SAMPLE_TENANT}
            verdicts = asyncio.run(look_at_all(url, key=key, admin_key=stack.env["ADMIN_API_KEY"], names=names, only=only))
    finally:
        shutil.rmtree(state, ignore_errors=True)
    if not only:
        REPORT.write_text(report(verdicts))
    print(report(verdicts))
    return 0 if verdicts and all(one.is_good for one in verdicts) else 1


async def look_at_all(url: str, *, key: str, admin_key: str, names: Mapping[str, str], only: str) -> list[Verdict]:
    """The pages of a tenant, then those of an operator."""
    verdicts = []
    for paths, is_operator in ((TENANT_PATHS, False), (OPERATOR_PATHS, True)):
        async with signed_in(url, admin_key if is_operator else key, is_operator=is_operator) as (desk, port):
            verdicts += await _look(desk, port, [path for path in paths if only in path], names)
    return verdicts


@asynccontextmanager
async def signed_in(url: str, key: str, *, is_operator: bool) -> AsyncIterator[tuple[Desk, int]]:
    """A browser of its own, and the port on which Lighthouse opens tabs in it: they have the cookies of the one that signed in."""
    [port] = free_ports(1)
    arguments = [f"--remote-debugging-port={port}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with tempfile.TemporaryDirectory(prefix="convergence-chromium-") as profile:
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                profile, executable_path=chromium(), args=arguments, locale="en-GB"
            )
            try:
                desk = Desk(context, await context.new_page(), url)
                await (desk.sign_in_as_operator(key) if is_operator else desk.sign_in(key))
                await desk.page.get_by_role("button", name="Sign out").wait_for()
                yield desk, port
            finally:
                await context.close()


async def _look(desk: Desk, port: int, paths: Sequence[str], names: Mapping[str, str]) -> list[Verdict]:
    verdicts = []
    for look in LOOKS:
        await desk.context.add_cookies([{"name": "theme", "value": look.theme, "url": desk.url}])
        for path in paths:
            verdicts.append(one := await asyncio.to_thread(_verdict, desk.url, path, names, port, look))
            scores = f"accessibility {one.accessibility}, best practices {one.best_practices}, interactive {one.interactive_ms:.0f} ms"
            print(f"{look.name:6} {path}: {scores}", *one.failed, sep="\n  ", file=sys.stderr, flush=True)
    return verdicts


def _verdict(url: str, path: str, names: Mapping[str, str], port: int, look: Look) -> Verdict:
    """Raises ValueError if Lighthouse has failed at the page three times: a busy browser may not answer in its time."""
    for is_last in (False, False, True):
        try:
            return verdict_of(_lighthouse(f"{url}{path.format_map(names)}", port, look), path=path, look=look.name)
        except ValueError as error:
            if is_last:
                raise
            print(error, file=sys.stderr, flush=True)
    raise AssertionError


def _lighthouse(url: str, port: int, look: Look) -> dict[str, Any]:
    """Its result. Raises ValueError if it failed, or looked at another page, such as the one for signing in."""
    command = ["node", str(LIGHTHOUSE), url, f"--port={port}", *WHAT, *HOW, *look.arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise ValueError(f"Lighthouse ended with {done.returncode} on {url}: {done.stderr[-600:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    if result["finalDisplayedUrl"] != url:
        raise ValueError(f"{url} leads to {result['finalDisplayedUrl']}")
    return result


if __name__ == "__main__":
    sys.exit(main())
