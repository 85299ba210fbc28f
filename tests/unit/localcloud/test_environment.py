"""What of a developer's environment the processes get."""

from pathlib import Path

import pytest

from localcloud.processes.environment import base_environment
from localcloud.processes.suite import make_process
from localcloud.settings import LocalSettings


def test_a_frontends_origin_reaches_the_gateway_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEWAY_CORS_ORIGIN", "http://a.test, http://b.test")
    monkeypatch.setenv("GATEWAY_TIMEOUT_SECONDS", "1")
    settings = LocalSettings.model_validate({"state_dir": tmp_path})
    gateway = make_process(settings, "gateway", admin_key="k").environment | base_environment(settings)
    assert gateway["GATEWAY_CORS_ORIGIN"] == "http://a.test, http://b.test"
    assert "GATEWAY_TIMEOUT_SECONDS" not in gateway
    assert "GATEWAY_CORS_ORIGIN" not in make_process(settings, "auth", admin_key="k").environment
