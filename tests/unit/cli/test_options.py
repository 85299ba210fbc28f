"""How texts of the command line are read."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from convergence.cli.app import main
from convergence.cli.commands.operator.tenants import read_limits
from convergence.cli.commands.tenant.credentials import credentials_of, read_known
from convergence.cli.laptop import read_exports
from convergence.cli.options import UsageProblem, read_json_object, read_moment, read_parameters, read_pipeline
from convergence.cli.repository import Repository

from services.platform.settings import REPOSITORY

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECRET = "sk-very-secret"


def test_parameters_are_texts_unless_json_is_asked_for() -> None:
    assert read_parameters(["date=yesterday", "limit:=5", 'deep:={"a": [true]}', "text=a=b", "empty="]) == {
        "date": "yesterday",
        "limit": 5,
        "deep": {"a": [True]},
        "text": "a=b",
        "empty": "",
    }


def test_parameters_stand_over_those_of_the_body(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_text('{"date": "today", "rows": 3}')
    assert read_parameters(["date=yesterday"], str(file)) == {"date": "yesterday", "rows": 3}


@pytest.mark.parametrize("text", ["date", "=x", ":=1", "rows:=five"])
def test_what_is_no_parameter_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem):
        read_parameters([text])


@pytest.mark.parametrize("text", ["gcp", "gcp/cost", "gcp//billing", "a/b/c/d", ""])
def test_what_is_no_pipeline_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="no pipeline"):
        read_pipeline(text)
    assert read_pipeline("/gcp/cost/billing") == "gcp/cost/billing"


@pytest.mark.parametrize("content", [f'{{"secret_access_key": "{SECRET}"', f'"{SECRET}"', f"[{SECRET}]"])
def test_a_file_that_is_no_json_object_is_refused_without_quoting_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(content)
    with pytest.raises(UsageProblem) as refused:
        read_json_object(str(file))
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="cannot be read"):
        read_json_object(str(tmp_path / "none.json"))
    large = tmp_path / "large.json"
    large.write_text(" " * 300_000)
    with pytest.raises(UsageProblem, match="larger than the 256 KiB"):
        read_json_object(str(large))


def test_a_moment_is_a_day_a_time_or_a_span_from_now() -> None:
    assert read_moment("90d", NOW) == datetime(2027, 2, 24, 12, tzinfo=UTC)
    assert read_moment("12h", NOW) == datetime(2026, 11, 27, tzinfo=UTC)
    assert read_moment("2026-12-31", NOW) == datetime(2026, 12, 31, tzinfo=UTC)
    assert read_moment("2026-12-31T10:00:00+01:00", NOW) == datetime(2026, 12, 31, 9, tzinfo=UTC)
    with pytest.raises(UsageProblem, match="no time"):
        read_moment("soon", NOW)


def test_limits_are_numbers_or_taken_away() -> None:
    assert read_limits(["daily_limit=25", "monthly_limit=none", "monthly_cost_limit_usd=12.5", "max_export_bytes=1_000"]) == {
        "daily_limit": 25,
        "monthly_limit": None,
        "monthly_cost_limit_usd": 12.5,
        "max_export_bytes": 1000,
    }
    for wrong in ("daily=25", "daily_limit=many", "daily_limit"):
        with pytest.raises(UsageProblem):
            read_limits([wrong])


def test_credentials_may_be_fields_a_whole_body_or_google_s_own_file() -> None:
    fields = {"project_id": "p", "service_account_json": "{}"}
    key_file = {"type": "service_account", "project_id": "p", "private_key": SECRET}
    assert credentials_of(fields) == fields
    assert credentials_of({"provider": "GCP", "credentials": fields}) == fields
    assert credentials_of(key_file) == {"project_id": "p", "service_account_json": key_file}
    assert json.dumps(credentials_of(key_file))


def test_what_trust_is_given_are_fields_of_its_request() -> None:
    assert read_known(["role_arn=arn:aws:iam::1:role/a"]) == {"role_arn": "arn:aws:iam::1:role/a"}
    for wrong in ("role=x", "tenant_id=other", "role_arn"):
        with pytest.raises(UsageProblem):
            read_known([wrong])


def test_the_laptop_s_file_is_read_with_export_and_quotes_or_without() -> None:
    assert read_exports(["# a", "export KEY='x=y'", "GATEWAY_URL=http://127.0.0.1:8080", ""]) == {
        "KEY": "x=y",
        "GATEWAY_URL": "http://127.0.0.1:8080",
    }


def test_a_clone_is_found_from_anywhere_in_it_and_its_files_are_named_from_its_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository.find(REPOSITORY / "docs")
    assert repository == Repository(root=REPOSITORY)
    monkeypatch.chdir(REPOSITORY / "configs")
    assert Repository.here().within("gcp/cost/billing.yml") == "configs/gcp/cost/billing.yml"
    for elsewhere in ("none.yml", str(tmp_path)):
        with pytest.raises(UsageProblem, match="no file of the clone"):
            Repository.here().within(elsewhere)
    assert Repository.find(tmp_path) is None


def test_shared_options_may_stand_before_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "key").write_text("k")
    url = "http://127.0.0.1:1"
    login = ["login", "--key-file", str(tmp_path / "key"), "--no-check", "--tenant", "acme_corp"]
    assert main(["--profile", "one", "--url", url, *login]) == 0
    capsys.readouterr()
    assert main(["--json", "--profile", "none", "profiles", "show", "--profile", "one"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["profile"], found["url"], found["tenant_id"]) == ("one", url, "acme_corp")
    assert main(["--profile", "none", "quota"]) == 2
    assert "no profile 'none'" in capsys.readouterr().err
