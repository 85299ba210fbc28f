"""What a command must not lose or change without a word: key files, the profile in use, runs that go on."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from convergence.cli.app import main
from convergence.cli.commands.here.api import read_header
from convergence.cli.commands.here.login import default_now
from convergence.cli.commands.tenant.costs import moves
from convergence.cli.commands.tenant.run_watch import follow
from convergence.cli.invocation import Invocation, Shared
from convergence.cli.options import UsageProblem
from convergence.cli.output.printer import Printer
from convergence.cli.output.screen import Screen
from convergence.cli.secret_file import check_new
from convergence.executor.v1 import cost_pb2, run_pb2
from convergence.executor.v1.watch_service_pb2 import RunEvent

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"URL": NOWHERE, "ADMIN_KEY": "a", "TENANT_ID": "acme_corp"}.items():
        monkeypatch.setenv(f"CONVERGENCE_{name}", value)
    monkeypatch.delenv("CONVERGENCE_API_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", [["create"], ["rotate", "k-1"]])
def test_a_key_file_is_not_replaced_and_no_key_is_issued_for_it(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("key").write_text("old")
    assert main(["keys", *command, "--out", "key"]) == 2, "before the call, which nothing would answer"
    assert "--force" in capsys.readouterr().err
    assert Path("key").read_text() == "old"
    # With --force it does call.
    assert main(["keys", *command, "--out", "key", "--force", "--url", "http://[::1]:1"]) == 5
    assert Path("key").read_text() == "old"


def test_force_replaces_files_only(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("folder", "dangling"):
        with pytest.raises(FileExistsError):
            check_new(tmp_path / name, replace=False)
        with pytest.raises(OSError, match="no regular file"):
            check_new(tmp_path / name, replace=True)
    check_new(tmp_path / "new", replace=False)


def test_a_login_says_which_profile_is_used_from_now_on(capsys: pytest.CaptureFixture[str]) -> None:
    Path("key").write_text("k")
    login = ["login", "--url", NOWHERE, "--key-file", "key", "--no-check", "--profile"]
    assert main([*login, "one"]) == 0
    capsys.readouterr()
    assert main([*login, "two"]) == 0
    assert "not one. Back: convergence profiles use one" in " ".join(capsys.readouterr().err.split())
    assert main([*login, "one", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["is_default"], said["default_before"]) == (True, "two")
    assert "not" not in default_now("one", "one")
    assert main(["logout"]) == 0
    assert "convergence profiles use" in capsys.readouterr().err
    assert main(["logout", "--profile", "two"]) == 0
    assert capsys.readouterr().err == "", "there is none to choose"


@pytest.mark.parametrize("header", ["X-A: b\nX-B: c", "X-A: b\rc", "X A: b", "X-A: é", ": b", "X-A\n: b"])
def test_what_is_no_header_is_refused(header: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["api", "GET", "/api/v1/pipelines/templates", "--header", header]) == 2
    assert "answer" not in capsys.readouterr().err
    with pytest.raises(UsageProblem):
        read_header(header)
    assert read_header("X-A:  b c ") == ("X-A", "b c")


@pytest.mark.parametrize("path", ["/api/\n", "/api/\x01", "/\udcff"])
def test_what_is_no_url_is_named(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["api", "GET", path]) == 2
    assert "is no URL" in capsys.readouterr().err
    assert main(["api", "GET", "/api", "-q", "a=\udcff"]) == 2


@pytest.mark.parametrize("silently", [True, False])
def test_ctrl_c_says_that_the_run_goes_on(silently: bool) -> None:
    def watch(_: str) -> Iterator[RunEvent]:
        yield RunEvent(event="RUN", run=run_pb2.Run(status="RUNNING"))
        raise KeyboardInterrupt

    out, err = io.StringIO(), io.StringIO()
    cli = Invocation(shared=Shared(), printer=Printer(is_json=False, out=Screen.of(out), err=Screen.of(err)))
    cli._client = SimpleNamespace(runs=SimpleNamespace(watch=watch))  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        follow(cli, "r-1", silently=silently)
    assert err.getvalue() == "Run r-1 goes on. Look again: convergence run watch r-1. Cancel it: convergence run cancel r-1\n"


def test_first_loads_have_not_moved() -> None:
    changes = [cost_pb2.CostChange(service="a", is_first_load=True), cost_pb2.CostChange(service="b")]
    assert [change.service for change in moves(changes)] == ["b"]
