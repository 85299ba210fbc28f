"""The program as a whole, without an installation: its commands, how it ends, and what it never prints."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from convergence.cli import app
from convergence.cli.app import main
from convergence.cli.noun import verbs
from convergence.cli.profile_file import ProfileFile, as_toml
from convergence.client import Profile, Profiles, read_profiles

from services.platform.settings import REPOSITORY
from tools.cli_docs import commands, reference, with_commands

KEY = "cvg_secret_key_of_acme"
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without profiles and variables, far from a clone."""
    for name in ("URL", "PROFILE", "API_KEY", "ADMIN_KEY", "TENANT_ID", "TOKEN", "USER_ID", "CA_FILE", "DEBUG"):
        monkeypatch.delenv(f"CONVERGENCE_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    return tmp_path


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def type_in(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return type_in


def paths() -> list[str]:
    return sorted(commands())


def test_the_commands_are_these() -> None:
    assert paths() == [
        "api",
        "audit",
        "costs changes",
        "costs days",
        "costs invoices",
        "costs query",
        "credentials check",
        "credentials delete",
        "credentials list",
        "credentials set",
        "credentials test",
        "credentials trust",
        "demo",
        "doctor",
        "fleet",
        "jobs check",
        "jobs process-queue",
        "jobs reset",
        "jobs status",
        "jobs trigger",
        "keys create",
        "keys list",
        "keys revoke",
        "keys rotate",
        "login",
        "logout",
        "openapi",
        "profiles list",
        "profiles show",
        "profiles use",
        "quality",
        "queue list",
        "queue retry",
        "queue show",
        "quota",
        "run cancel",
        "run cost",
        "run list",
        "run show",
        "run start",
        "run watch",
        "runs all",
        "schedules backfill",
        "schedules create",
        "schedules delete",
        "schedules list",
        "schedules show",
        "schedules update",
        "templates check",
        "templates list",
        "templates show",
        "tenants get",
        "tenants list",
        "tenants offboard",
        "tenants put",
        "tenants resume",
        "tenants suspend",
        "up",
        "usage",
        "validate",
    ]


@pytest.mark.parametrize("path", paths())
def test_every_command_has_help_an_example_and_json(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*path.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"convergence {path}" in text
    assert "--json" in text
    assert "Example: convergence" in text


def test_every_example_is_of_its_command_and_has_options_that_there_are() -> None:
    known = commands()
    for verb in verbs():
        words = verb.example.partition("|")[0].partition(">")[0].split()
        assert words[: 1 + len(verb.path.split())] == ["convergence", *verb.path.split()], verb.path
        options = {option for one in known[verb.path].params for option in (*one.opts, *one.secondary_opts)}
        assert {word for word in words if word.startswith("-")} - options == set(), verb.path


def test_no_option_takes_a_secret() -> None:
    for path, command in commands().items():
        for one in command.params:
            named = {word for option in one.opts for word in option.strip("-").split("-")}
            assert not named & {"secret", "password", "token"}, path
            assert "key" not in named or one.opts[0].endswith("-file") or one.opts[0] in {"--idempotency-key", "key_id"}, (path, one.opts)


def test_the_page_lists_the_commands_as_they_are() -> None:
    page = (REPOSITORY / "docs/cli.md").read_text()
    assert with_commands(page, reference()) == page, "run `make cli-docs`"


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "run nonsense",
        "run start",
        "run start gcp",
        "run start gcp/cost/billing -p date",
        "run list --limit many",
        "run list --no-such-option",
        "profiles show none",
        "tenants put acme --limit daily=1",
        "templates check x.yml",
        "up",
        "api FETCH /api",
        "quota --url ftp://x",
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_what_is_wrong(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*line.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert "Traceback" not in err


def test_errors_are_json_too_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "start", "gcp", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    error = json.loads(err)["error"]
    assert error["exit_code"] == 2
    assert "PROVIDER/DOMAIN/TEMPLATE" in error["message"]


def test_without_an_answer_it_ends_with_5_and_without_a_key_with_4(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVERGENCE_TENANT_ID", "acme_corp")
    assert main(["quota", "--url", NOWHERE]) == 4
    assert "convergence login" in capsys.readouterr().err
    assert main(["api", "GET", "/api/v1/pipelines/templates", "--url", NOWHERE]) == 5
    assert "does not answer" in capsys.readouterr().err


def test_a_login_without_a_terminal_takes_the_key_from_stdin_and_shows_it_nowhere(
    home: Path, typed: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    typed(f"{KEY}\n")
    assert main(["login", "--url", NOWHERE, "--tenant", "acme_corp", "--key-file", "-", "--no-check"]) == 0
    assert main(["profiles", "list", "--json"]) == 0
    assert main(["profiles", "show"]) == 0
    out, err = capsys.readouterr()
    assert KEY not in out + err
    file = home / "config/convergence/profiles.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_profiles(file).named("default") == Profile(url=NOWHERE, tenant_id="acme_corp", api_key=KEY)


def test_a_key_is_not_stored_if_it_does_not_work(home: Path, typed: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    typed(KEY)
    # No answer is no proof that it works.
    assert main(["login", "--url", "http://127.0.0.1:1", "--tenant", "acme_corp", "--key-file", "-"]) == 5
    assert not (home / "config/convergence/profiles.toml").exists()
    assert KEY not in "".join(capsys.readouterr())


def test_without_terminal_and_file_a_login_says_how_to_give_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["login", "--url", NOWHERE]) == 2
    assert "--key-file" in capsys.readouterr().err


def test_another_address_takes_no_key_of_the_old_one_along(typed: Callable[[str], None]) -> None:
    typed(KEY)
    assert main(["login", "--url", NOWHERE, "--key-file", "-", "--no-check"]) == 0
    typed("other")
    assert main(["login", "--url", "http://127.0.0.1:2", "--admin-key-file", "-", "--no-check"]) == 0
    profile = ProfileFile.of(os.environ).read().named("default")
    assert (profile.api_key, profile.admin_key) == ("", "other")


def test_profiles_are_chosen_and_forgotten(typed: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        typed(KEY)
        assert main(["login", "--profile", name, "--url", NOWHERE, "--key-file", "-", "--no-check"]) == 0
    assert main(["profiles", "use", "one"]) == 0
    capsys.readouterr()
    assert main(["profiles", "list", "--json"]) == 0
    assert [(one["profile"], one["is_default"]) for one in json.loads(capsys.readouterr().out)] == [("one", True), ("two", False)]
    assert main(["logout"]) == 0
    assert main(["logout", "--profile", "two"]) == 0
    capsys.readouterr()
    assert main(["profiles", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_what_a_profile_holds_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    odd = 'quote " back \\ tab \t del \x7f é 😀'
    known = Profiles(default="a.b", profiles={"a.b": Profile(url=NOWHERE, user_id=odd), "c": Profile(api_key=KEY)})
    ProfileFile(path=tmp_path / "deep" / "profiles.toml").write(known)
    assert read_profiles(tmp_path / "deep" / "profiles.toml") == known
    assert "admin_key" not in as_toml(known)


def test_what_breaks_is_no_traceback_and_quotes_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise KeyError(KEY)

    monkeypatch.setattr(app, "program", broken)
    assert main(["quota"]) == 7
    err = capsys.readouterr().err
    assert "KeyError" in err
    assert "Traceback" not in err
    assert KEY not in err


def test_ctrl_c_ends_with_130_and_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("convergence.cli.commands.here.profiles.ProfileFile.read", interrupted)
    assert main(["profiles", "list"]) == 130
    assert "".join(capsys.readouterr()) == ""


def test_it_does_not_ask_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGENCE_URL", NOWHERE)
    monkeypatch.setenv("CONVERGENCE_TENANT_ID", "acme_corp")
    assert main(["keys", "revoke", "k-1"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert main(["tenants", "offboard", "acme_corp", "--dataset", "keep"]) == 2
    assert "--confirm" in capsys.readouterr().err
    assert main(["tenants", "offboard", "acme_corp", "--dataset", "keep", "--confirm", "acme"]) == 2
    assert "nothing was changed" in capsys.readouterr().err


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"convergence \d\S*\n", capsys.readouterr().out)


def test_it_starts_as_a_program_and_completes(home: Path) -> None:
    program = Path(sys.executable).with_name("convergence")
    # Else it looks for a shell among its parents, and a runner of tests need not have one.
    named = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    completion = subprocess.run([program, "--show-completion", "bash"], env=named, capture_output=True, text=True, check=True)
    assert "_CONVERGENCE_COMPLETE" in completion.stdout


def test_ctrl_c_is_left_to_the_program_that_was_started_and_its_end_is_waited_for(tmp_path: Path) -> None:
    child = (
        "import signal, sys, time\n"
        "def stop(*_):\n    time.sleep(0.1); print('stopped', flush=True); sys.exit(7)\n"
        "signal.signal(signal.SIGINT, stop); print('ready', flush=True); time.sleep(60)"
    )
    parent = (
        "import sys; from pathlib import Path; from convergence.cli.repository import Repository\n"
        f"sys.exit(Repository(root=Path('.')).run(sys.executable, '-c', {child!r}).code)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=tmp_path
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        os.killpg(program.pid, signal.SIGINT)
        assert program.stdout.read() == "stopped\n"
    assert program.returncode == 7
