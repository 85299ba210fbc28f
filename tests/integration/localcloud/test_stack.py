"""The supervisor: its messages when something is wrong, and that it leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud.processes.environment import write_env_file
from localcloud.processes.process import PortInUse, Process, ProcessFailed
from localcloud.settings import LocalSettings
from localcloud.stack import Stack

DEADLINE = 10.0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether the process lives; one that is dead and not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def shell(name: str, script: str, **options: object) -> Process:
    return Process(name=name, command=("sh", "-c", script), **{"ready": lambda: None, **options})  # type: ignore[arg-type]


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    return LocalSettings.on_free_ports(tmp_path / "state", stop_grace=1)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def stack(settings: LocalSettings, said: list[str]) -> Iterator[Stack]:
    """A stack without parts, to which a test adds its own."""
    with Stack(settings, only=(), report=said.append) as started:
        yield started


def test_a_port_in_use_is_reported_by_part_and_port_before_anything_starts(settings: LocalSettings) -> None:
    with socket.create_server(("127.0.0.1", settings.kms_port)), pytest.raises(PortInUse) as problem:
        Stack(settings, only=("bigquery", "kms")).start()

    assert f"port {settings.kms_port} of kms is in use" in str(problem.value)
    assert "LOCALCLOUD_KMS_PORT=" in str(problem.value)
    assert "bigquery" not in str(problem.value)
    assert not settings.logs_dir.exists()


def test_two_parts_on_one_port_are_both_named(settings: LocalSettings) -> None:
    same = LocalSettings.on_free_ports(settings.state_dir, kms_port=settings.bigquery_port, bigquery_port=settings.bigquery_port)

    with pytest.raises(PortInUse, match=f"port {settings.bigquery_port} is set for both bigquery and kms"):
        Stack(same, only=("bigquery", "kms")).start()


def test_a_part_that_dies_while_starting_takes_the_rest_down_and_shows_its_log(settings: LocalSettings) -> None:
    keyring = settings.state_dir / "kms" / "keyring.json"
    keyring.parent.mkdir(parents=True)
    keyring.write_text("not a key ring")
    stack = Stack(settings, only=("bigquery", "kms"))

    with pytest.raises(ProcessFailed, match=r"(?s)^kms died while starting: exit status 1.*kms\.log.*is not a key ring"):
        stack.start()

    assert not runs(stack.pid("bigquery"))


def test_a_command_that_does_not_exist_is_reported(stack: Stack) -> None:
    with pytest.raises(ProcessFailed, match=r"(?s)^ghost died while starting: exit status 127.*cannot run no-such-program"):
        stack.add(Process(name="ghost", command=("no-such-program",), ready=lambda: "nothing there"))


def test_a_part_that_is_never_ready_is_reported_with_what_it_lacks(tmp_path: Path) -> None:
    settings = LocalSettings.on_free_ports(tmp_path, start_timeout=0.2)

    with Stack(settings, only=()) as stack:
        with pytest.raises(ProcessFailed, match=r"slow is not ready after 0\.2 s: its heart does not beat"):
            stack.add(shell("slow", "sleep 60", ready=lambda: "its heart does not beat"))
        assert stack.wait("slow", DEADLINE) == -signal.SIGKILL


def test_a_part_that_does_its_work_and_ends_is_waited_for(stack: Stack, tmp_path: Path) -> None:
    stack.add(shell("work", f"sleep 0.1; echo done > {tmp_path}/done", ready=None))

    assert (tmp_path / "done").read_text() == "done\n"
    with pytest.raises(ProcessFailed, match="exit status 3"):
        stack.add(shell("bad-work", "exit 3", ready=None))


def test_a_part_that_dies_later_is_reported_at_once_and_started_again(stack: Stack, said: list[str]) -> None:
    stack.add(shell("fragile", "sleep 60"))
    first = stack.pid("fragile")

    stack.kill("fragile")
    until(lambda: "fragile is back" in said)

    assert said[0].startswith("fragile died: killed by SIGKILL; its log is ")
    assert said[1] == "fragile starts again in 1 s"
    assert stack.pid("fragile") != first
    assert runs(stack.pid("fragile"))


def test_without_auto_restart_a_dead_part_stays_dead_until_it_is_asked_for(settings: LocalSettings) -> None:
    said: list[str] = []
    with Stack(settings, only=(), auto_restart=False, report=said.append) as stack:
        stack.add(shell("fragile", "exec sleep 60"))
        stack.kill("fragile", signal.SIGTERM)
        assert stack.wait("fragile", DEADLINE) == -signal.SIGTERM
        until(lambda: bool(said))

        stack.restart("fragile")

        assert runs(stack.pid("fragile"))
    assert len(said) == 1


def test_a_part_outlives_the_thread_that_asked_for_it(stack: Stack) -> None:
    """The kernel kills a tethered child when the thread that spawned it ends: that thread must not be the caller's."""
    stack.add(shell("part", "sleep 60"))

    thread = threading.Thread(target=stack.restart, args=("part",))
    thread.start()
    thread.join()
    pid = stack.pid("part")

    # The signal would come at once; the wait only fails early if it does.
    assert stack.wait("part", 0.3) is None
    assert runs(pid)


def test_a_paused_part_does_nothing_and_is_stopped_all_the_same(stack: Stack, tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    # One process: a shell that is stopped while it starts another one waits in state D, for a child that is stopped, too.
    beats = f"import time\nwhile True:\n    open({str(beat)!r}, 'a').write('.')\n    time.sleep(0.02)"
    command = (sys.executable, "-c", beats)
    stack.add(Process(name="beating", command=command, ready=lambda: None if beat.exists() else "no beat"))
    state = Path(f"/proc/{stack.pid('beating')}/stat")

    stack.pause("beating")
    until(lambda: state.read_text().rpartition(") ")[2][0] == "T")
    stack.resume("beating")
    size = beat.stat().st_size
    until(lambda: beat.stat().st_size > size)
    stack.pause("beating")
    stack.stop()

    assert not runs(stack.pid("beating"))


def test_a_part_that_ignores_sigterm_is_killed_after_the_grace(stack: Stack, said: list[str], tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    stack.add(
        shell("deaf", f"trap '' TERM; touch {deaf}; while :; do sleep 0.05; done", ready=lambda: None if deaf.exists() else "no trap yet")
    )

    stack.stop()

    assert stack.wait("deaf", 0) == -signal.SIGKILL
    assert said == ["deaf did not end within 1 s of SIGTERM: killed"]


def test_parts_are_stopped_in_reverse(stack: Stack, tmp_path: Path) -> None:
    """What others need to start, or use while they run, is stopped after them."""
    order = tmp_path / "order"
    for name, needs, uses in (("store", (), ()), ("caller", ("store",), ("called",)), ("called", ("store",), ())):
        ready = tmp_path / name
        script = f"trap 'echo {name} >> {order}; exit' TERM; touch {ready}; while :; do sleep 0.02; done"
        stack.add(shell(name, script, needs=needs, uses=uses, ready=lambda ready=ready: None if ready.exists() else "no trap yet"))

    stack.stop()

    assert order.read_text().split() == ["caller", "called", "store"]


def test_nothing_of_the_callers_environment_reaches_a_part(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do not leak")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/do/not/use")
    seen = tmp_path / "seen"

    stack.add(shell("nosy", f"env > {seen}", environment={"GIVEN": "yes"}, ready=None))

    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert "GIVEN" in names
    assert not names & {"AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"}
    assert f"HOME={stack.settings.state_dir}/home" in seen.read_text()


def test_parts_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    """Not even SIGKILL of the supervisor leaves a part behind."""
    program = f"""
import time
from pathlib import Path
from localcloud.processes.process import Process
from localcloud.settings import LocalSettings
from localcloud.stack import Stack
with Stack(LocalSettings.on_free_ports(Path({str(tmp_path)!r})), only=()) as stack:
    stack.add(Process(name="part", command=("sleep", "60"), ready=lambda: None))
    print(stack.pid("part"), flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        pid = int(supervisor.stdout.readline())
        assert runs(pid)
        supervisor.kill()

    until(lambda: not runs(pid))


def test_the_admin_key_is_made_once_and_kept_in_the_env_file_only(settings: LocalSettings) -> None:
    first = Stack(settings, only=())
    write_env_file(settings.env_file, first.env)

    assert Stack(settings, only=()).env == first.env
    assert settings.env_file.stat().st_mode & 0o777 == 0o600
    assert [line.removeprefix("export ").partition("=")[0] for line in settings.env_file.read_text().splitlines()] == [
        "GATEWAY_URL",
        "ADMIN_API_KEY",
        "BIGQUERY_EMULATOR_HOST",
        "BIGQUERY_STORAGE_EMULATOR_HOST",
        "KMS_EMULATOR_HOST",
        "GOOGLE_STS_EMULATOR_HOST",
        "AWS_EMULATOR_HOST",
        "AZURE_EMULATOR_HOST",
        "CLOUD_EMULATOR_CA",
        "GOOGLE_CLOUD_PROJECT",
    ]
    assert len(first.env["ADMIN_API_KEY"]) >= 40
    assert os.fspath(settings.env_file).endswith("state/env")
