"""The lines that `make up` prints: a shell understands them, and they name what is there."""

import json
import re
import subprocess
from datetime import date
from pathlib import Path

import pytest

from localcloud.instructions import how_to_call
from localcloud.sample.aws.export import AWS_EXPORT
from localcloud.sample.azure.tenant import AZURE_EXPORT
from localcloud.sample.restate import restate_main
from localcloud.settings import LocalSettings
from services.platform.access.scopes import SCOPES


@pytest.fixture
def printed(tmp_path: Path) -> tuple[str, LocalSettings]:
    settings = LocalSettings(state_dir=tmp_path / ".local")
    text = how_to_call(
        tenant="acme_corp",
        day=date(2026, 11, 25),
        env_file=settings.env_file,
        credentials_file=settings.sample_credentials,
        logs_dir=settings.logs_dir,
        jobs_fire=True,
    )
    return text, settings


def test_a_shell_and_json_understand_the_lines(printed: tuple[str, LocalSettings]) -> None:
    text, _ = printed
    lines = text.split("\n\n", 1)[1].rsplit("\n\n", 1)[0]
    assert subprocess.run(["bash", "-n"], input=lines, text=True, capture_output=True, check=True).stderr == ""
    assert re.findall(r"^(?:export )?\w+=", lines, re.MULTILINE) == ["export KEY=", "export RUN="]
    bodies = [json.loads(body) for body in re.findall(r"-d '(\{.*?\})'", lines, re.DOTALL)]
    assert {"months": "open", "export": AWS_EXPORT} in bodies
    assert {"months": "open", "export": AZURE_EXPORT} in bodies
    [scopes] = [body["scopes"] for body in bodies if "scopes" in body]
    assert set(scopes) == set(SCOPES) - {"costs:write"}
    assert "start_date=2026-10-01 -d end_date=2026-11-25" in lines


def test_the_credentials_are_the_sample_s(printed: tuple[str, LocalSettings]) -> None:
    text, settings = printed
    written = re.search(r"for CLOUD in (.*?); do.*?-d \"@(.*?)\"", text, re.DOTALL)
    assert written
    files = [Path(written[2].replace("${CLOUD}", cloud)) for cloud in written[1].split()]
    assert files == [settings.sample_aws_credentials, settings.sample_azure_credentials]


@pytest.mark.parametrize("environment", ["", "AWS_EMULATOR_HOST=http://127.0.0.1:1\n"])
def test_a_cloud_corrects_nothing_in_a_stack_that_is_not_running(
    environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "env").write_text(environment)
    monkeypatch.setenv("LOCALCLOUD_STATE_DIR", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        restate_main(["aws"])
    assert ended.value.code == 1
    assert "Start it with `make up`" in capsys.readouterr().err
