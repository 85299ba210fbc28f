"""The neighbours as processes: started, called, polled and stopped."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import requests

from localcloud.ports import free_ports
from localcloud.rest import until
from services.platform.settings import REPOSITORY

HERE: Final = Path(__file__).parent
BIN: Final = REPOSITORY / ".cache" / "peers" / "bin"
START_SECONDS: Final = 120.0
CALL_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
OK: Final = range(200, 300)


class System(Protocol):
    """An orchestrator that is up."""

    def start(self, day: str) -> str:
        """Triggers a run over the API; its id. Raises requests' errors."""
        ...

    def is_done(self, run: str) -> bool:
        """Asks over the API. Raises RuntimeError if the run failed."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefect:
    """A server, and a process that serves the flow."""

    url: str
    deployment: str

    def start(self, day: str) -> str:
        """As of System."""
        answer = requests.post(f"{self.url}/deployments/{self.deployment}/create_flow_run", json={"parameters": {"day": day}}, timeout=60)
        answer.raise_for_status()
        run: str = answer.json()["id"]
        return run

    def is_done(self, run: str) -> bool:
        """As of System."""
        state = requests.get(f"{self.url}/flow_runs/{run}", timeout=CALL_SECONDS).json()["state"]["type"]
        return _is_done(state, "COMPLETED", ("FAILED", "CRASHED", "CANCELLED"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Dagster:
    """A web server whose runs are processes of their own, started with the call."""

    url: str

    def start(self, day: str) -> str:
        """As of System; also raises RuntimeError if the launch is refused."""
        selector = {"jobName": "billing", "repositoryName": "__repository__", "repositoryLocationName": "dagster_job.py"}
        config = {"ops": {"extract": {"config": {"day": day}}}}
        launched = self._ask(
            "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename ... on LaunchRunSuccess { run { runId } } } }",
            {"p": {"selector": selector, "runConfigData": config, "mode": "default"}},
        )["launchRun"]
        if "run" not in launched:
            raise RuntimeError(f"Dagster answered {launched}")
        run: str = launched["run"]["runId"]
        return run

    def is_done(self, run: str) -> bool:
        """As of System."""
        found = self._ask("query($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }", {"r": run})["runOrError"]
        return _is_done(found["status"], "SUCCESS", ("FAILURE", "CANCELED"))

    def _ask(self, query: str, variables: Mapping[str, object]) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=CALL_SECONDS)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        if found.get("errors"):
            raise RuntimeError(f"Dagster answered {found['errors']}")
        data: dict[str, Any] = found["data"]
        return data


def are_installed() -> bool:
    """Whether `make bench-peers` has installed them."""
    return (BIN / "prefect").exists() and (BIN / "dagster-webserver").exists()


@contextmanager
def export(state: Path, days: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """The days' data below `state`; gives the environment of all processes."""
    data = state / "peers-data"
    data.mkdir(parents=True)
    environment = {**_environment(state), "PEERS_DATA": str(data)}
    subprocess.run([BIN / "python", "-c", f"import work; work.prepare({list(days)!r})"], cwd=HERE, env=environment, check=True)
    yield environment


@contextmanager
def prefect(state: Path, environment: Mapping[str, str], *, poll_seconds: float) -> Iterator[Prefect]:
    """With the server's own default, SQLite."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}/api"
    own = {
        **environment,
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_API_URL": url,
        "PREFECT_RUNNER_POLL_FREQUENCY": f"{poll_seconds:g}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    with ExitStack() as stack:
        stack.enter_context(_running([BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)], own, state))
        until(lambda: _answers(f"{url}/health"), bool, seconds=START_SECONDS, every=0.2)
        stack.enter_context(_running([BIN / "python", HERE / "prefect_flow.py"], own, state))
        name = f"{url}/deployments/name/billing/bench"
        until(lambda: _answers(name), bool, seconds=START_SECONDS, every=0.2)
        yield Prefect(url=url, deployment=requests.get(name, timeout=CALL_SECONDS).json()["id"])


@contextmanager
def dagster(state: Path, environment: Mapping[str, str]) -> Iterator[Dagster]:
    """With DefaultRunCoordinator and in_process_executor: faster than its defaults, which queue a run and start a process for each step."""
    home, [port] = state / "dagster", free_ports(1)
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\nrun_coordinator: {module: dagster.core.run_coordinator, class: DefaultRunCoordinator}\n"
    )
    command: list[str | Path] = [BIN / "dagster-webserver", "-f", "dagster_job.py", "-h", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with _running(command, {**environment, "DAGSTER_HOME": str(home)}, state):
        until(lambda: _answers(f"{url}/server_info"), bool, seconds=START_SECONDS, every=0.2)
        yield Dagster(url=url)


def seen_finished(system: System, day: str, *, every: float) -> tuple[float, float]:
    """Seconds from the call to its answer, and to when the run is seen finished."""
    called = time.monotonic()
    run = system.start(day)
    answered = time.monotonic() - called
    until(lambda: system.is_done(run), bool, seconds=START_SECONDS, every=every)
    return answered, time.monotonic() - called


def _is_done(state: str, done: str, failed: Sequence[str]) -> bool:
    if state in failed:
        raise RuntimeError(f"the run ended {state}")
    return state == done


def _environment(state: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ", "TMPDIR") if name in os.environ}
    return kept | {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(state)}


@contextmanager
def _running(command: Sequence[str | Path], environment: Mapping[str, str], state: Path) -> Iterator[None]:
    """A process, its output in a log; it is stopped at the end."""
    with (state / f"{Path(command[0]).name}.log").open("ab") as log:
        process = subprocess.Popen([*map(str, command)], cwd=HERE, env=dict(environment), stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=CALL_SECONDS).status_code in OK
    except requests.RequestException:
        return False
