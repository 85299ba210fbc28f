"""A variable that looks like a setting and is none is named, with what may have been meant."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from gateway.settings import GatewaySettings
from services.auth.settings import AuthSettings
from services.credentials.settings import CredentialsSettings
from services.executor.settings import ExecutorSettings
from services.platform.environment.reading import variables
from services.platform.environment.unknown import of_all_services, unknown
from services.scheduler.settings import SchedulerSettings

KNOWN = of_all_services()
PROGRAM = """
import os
from services.platform import log
log.configure("auth", "warning")
log.warn_of_unknown_settings(os.environ)
"""


def found(environment: Mapping[str, str]) -> dict[str, str]:
    return {one.variable: one.nearest for one in unknown(environment, KNOWN)}


def test_what_any_service_reads_is_known_to_all() -> None:
    assert variables(AuthSettings, CredentialsSettings, ExecutorSettings, SchedulerSettings) == KNOWN
    assert found(dict.fromkeys(KNOWN, "")) == {}


@pytest.mark.parametrize("name", sorted(name for name in KNOWN if name.startswith("CONVERGENCE_")))
def test_a_setting_without_one_letter_is_named_with_a_setting(name: str) -> None:
    """With itself, unless two are that similar."""
    misspelt = name[:-3] + name[-2:]
    assert misspelt in KNOWN or found({misspelt: "1"})[misspelt] in KNOWN


def test_the_nearest_is_the_one_that_was_meant_and_what_is_like_none_names_none() -> None:
    given = {"CONVERGENCE_LEASE_SECOND": "1", "CONVERGENCE_MAX_CONCURENT_RUNS": "1", "CONVERGENCE_XYZZY": "1", "GOOGLE_CLOUD_PROJEKT": "p"}
    assert found(given) == {
        "CONVERGENCE_LEASE_SECOND": "CONVERGENCE_LEASE_SECONDS",
        "CONVERGENCE_MAX_CONCURENT_RUNS": "CONVERGENCE_MAX_CONCURRENT_RUNS",
        "CONVERGENCE_XYZZY": "",
    }
    assert found({"convergence_lease_seconds": "1", "convergence_lease_second": "1"}) == {
        "convergence_lease_second": "CONVERGENCE_LEASE_SECONDS"
    }, "settings are read whatever the case"
    [one] = unknown({"GATEWAY_TIMEOUT_SECOND": "1"}, variables(GatewaySettings), prefix="GATEWAY_")
    assert one.nearest == "GATEWAY_TIMEOUT_SECONDS"


def test_what_kubernetes_gives_to_pods_beside_a_service_of_our_name_is_none_of_ours() -> None:
    given = {
        "CONVERGENCE_GATEWAY_SERVICE_HOST": "10.0.0.1",
        "CONVERGENCE_GATEWAY_SERVICE_PORT": "443",
        "CONVERGENCE_GATEWAY_SERVICE_PORT_HTTPS": "443",
        "CONVERGENCE_GATEWAY_PORT": "tcp://10.0.0.1:443",
        "CONVERGENCE_GATEWAY_PORT_443_TCP": "tcp://10.0.0.1:443",
        "CONVERGENCE_GATEWAY_PORT_443_TCP_ADDR": "10.0.0.1",
        "CONVERGENCE_GATEWAY_PORT_443_TCP_PORT": "443",
        "CONVERGENCE_GATEWAY_PORT_443_TCP_PROTO": "tcp",
    }
    assert found(given) == {}
    assert found({"CONVERGENCE_METRIC_PORT": "9100"}) == {"CONVERGENCE_METRIC_PORT": "CONVERGENCE_METRICS_PORT"}


def test_a_process_logs_a_line_for_each_without_its_value() -> None:
    """As `serve`, the bootstrap and the gateway do once they have read their settings."""
    environment = {**os.environ, "CONVERGENCE_LEASE_SECOND": "s3cret", "CONVERGENCE_POLL_SECONDS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60)
    written = done.stderr
    [line] = [json.loads(line) for line in written.splitlines()]
    assert (line["event"], line["severity"], line["service"]) == ("unknown_setting", "WARNING", "auth")
    assert (line["variable"], line["nearest"]) == ("CONVERGENCE_LEASE_SECOND", "CONVERGENCE_LEASE_SECONDS")
    assert line["detail"].endswith("has no effect. Did you mean CONVERGENCE_LEASE_SECONDS?")
    assert "s3cret" not in written
