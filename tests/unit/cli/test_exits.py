"""Exit statuses are a contract: scripts decide on them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from convergence.cli.app import main
from convergence.cli.exits import ExitCode, exit_of_http, exit_of_status
from convergence.cli.options import UsageProblem
from convergence.cli.output.own_commands import in_commands
from convergence.cli.problems import problem_of
from convergence.client import errors
from convergence.rpc.errors import ConvergenceError, Details

from services.platform.settings import REPOSITORY


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "BAD_FIELD", ExitCode.USAGE),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "DAILY_LIMIT_REACHED", ExitCode.REFUSED),
        (grpc.StatusCode.FAILED_PRECONDITION, "SCHEDULE_LIMIT_REACHED", ExitCode.REFUSED),
        (grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID", ExitCode.DENIED),
        (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING", ExitCode.DENIED),
        (grpc.StatusCode.UNAVAILABLE, "", ExitCode.UNAVAILABLE),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "SERVICE_TIMEOUT", ExitCode.UNAVAILABLE),
        (grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND", ExitCode.NOT_POSSIBLE),
        (grpc.StatusCode.ALREADY_EXISTS, "RUN_OVERLAPS", ExitCode.NOT_POSSIBLE),
        (grpc.StatusCode.FAILED_PRECONDITION, "RUN_HAS_ENDED", ExitCode.NOT_POSSIBLE),
        (grpc.StatusCode.INTERNAL, "INTERNAL", ExitCode.BROKEN),
        (grpc.StatusCode.UNIMPLEMENTED, "", ExitCode.BROKEN),
    ],
)
def test_a_refused_call_ends_with_the_status_of_its_kind(status: grpc.StatusCode, reason: str, code: ExitCode) -> None:
    assert exit_of_status(status, reason) is code


def test_rest_and_grpc_end_alike() -> None:
    pairs = {200: 0, 400: 2, 401: 4, 403: 4, 404: 6, 409: 6, 429: 3, 503: 5, 504: 5, 500: 7}
    assert {status: exit_of_http(status) for status in pairs} == pairs


def test_an_error_says_what_to_do_and_under_which_request_it_is_logged() -> None:
    error = ConvergenceError.by_reason["DAILY_LIMIT_REACHED"]("No more today.", Details(reason="DAILY_LIMIT_REACHED", request_id="r-1"))

    problem = problem_of(error)

    assert problem.code is ExitCode.REFUSED
    assert problem.lines() == ["See the limits: convergence quota", "(DAILY_LIMIT_REACHED, request r-1)"]
    assert problem.as_json()["error"]["exit_code"] == 3


def test_no_key_is_a_matter_of_rights_and_no_url_one_of_usage() -> None:
    no_key = errors.ConfigurationError("The call needs an API key. Give the client `api_key=` ...")
    assert problem_of(no_key).code is ExitCode.DENIED
    assert problem_of(errors.ConfigurationError("Where is the gateway?")).code is ExitCode.USAGE
    assert problem_of(UsageProblem("no")).code is ExitCode.USAGE


def test_the_page_lists_every_exit_status() -> None:
    page = (REPOSITORY / "docs/cli.md").read_text()
    assert set(re.findall(r"^\| (\d+) \|", page, re.MULTILINE)) == {str(int(code)) for code in ExitCode}


CALL = re.compile(r"/api/v1/|\b(?:GET|POST|PUT|PATCH|DELETE) (?:/|\.\.\.)")


def sentences(tree: ast.AST) -> Iterator[str]:
    """The texts of a module that are no docstrings, with `acme` for each value, if they have more than a word."""
    docs = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    parts = {id(part) for one in ast.walk(tree) if isinstance(one, ast.JoinedStr) for part in one.values}
    for one in ast.walk(tree):
        values = one.values if isinstance(one, ast.JoinedStr) else [one] if isinstance(one, ast.Constant) and id(one) not in parts else []
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "acme" for part in values)
        if " " in text and id(one) not in docs:
            yield text


def test_no_message_sends_its_reader_to_a_rest_call() -> None:
    """Of all that the services' sources say; what is said in a docstring or a comment is not shown."""
    said = {
        text for path in (REPOSITORY / "services").rglob("*.py") for text in sentences(ast.parse(path.read_text())) if CALL.search(text)
    }
    assert len(said) > 5
    for text in said:
        assert not CALL.search(in_commands(text)), text


@pytest.mark.parametrize(
    ("reason", "message", "lines"),
    [
        (
            "TENANT_NOT_FOUND",
            "There is no tenant a. GET /api/v1/tenants lists those that exist.",
            ["There is no tenant a. `convergence tenants list` lists those that exist."],
        ),
        (
            "TEMPLATE_NOT_FOUND",
            "No such pipeline. GET /api/v1/pipelines/templates lists all.",
            ["No such pipeline. `convergence templates list` lists all."],
        ),
        ("API_KEY_NOT_FOUND", "No key.", ["No key.", "See what there is: convergence keys list"]),
        ("CREDENTIALS_NOT_FOUND", "None.", ["None.", "See what there is: convergence credentials list"]),
    ],
)
def test_what_is_not_found_is_found_by_a_command(reason: str, message: str, lines: list[str]) -> None:
    problem = problem_of(ConvergenceError.by_reason[reason](message, Details(reason=reason)))
    assert [problem.message, *problem.lines()[:-1]] == lines


def test_every_reason_of_something_not_found_has_advice() -> None:
    missing = {reason for reason, kind in ConvergenceError.by_reason.items() if issubclass(kind, errors.NotFound)}
    without = {one for one in missing if len(problem_of(ConvergenceError.by_reason[one]("x", Details(reason=one))).lines()) < 2}
    assert without == set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "list", "--limit", "20,000"), "'--limit' / '-n': it is no whole number: write digits alone, e.g. 20."),
        (("run", "list", "--limit", "-1"), "'--limit' / '-n': it is too small: give 0 or more."),
        (("jobs", "process-queue", "--max-runs", "501"), "'--max-runs': it is too large: give 500 or less."),
        (("quota",), "The call needs a tenant: give --tenant, or set CONVERGENCE_TENANT_ID."),
    ],
)
def test_what_libraries_say_is_said_in_the_programs_words(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert main(["--url", "http://127.0.0.1:1", *arguments]) in {ExitCode.USAGE, ExitCode.DENIED}
    assert said in " ".join(capsys.readouterr().err.split())
