"""Envoy's rendered configuration."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from localcloud.gateway.envoy import GatewaySettings, render
from localcloud.gateway.public_services import public_services
from localcloud.settings import SERVICES


def test_no_value_can_break_out_of_its_place(tmp_path: Path) -> None:
    """Paths may hold spaces, quotes and dollars."""
    odd = tmp_path / 'a "b" ${c} \\d'
    config = yaml.safe_load(render(GatewaySettings(tls_dir=odd)))
    context = config["static_resources"]["clusters"][1]["transport_socket"]["typed_config"]["common_tls_context"]
    assert context["validation_context"]["trusted_ca"]["filename"] == f"{odd}/ca.pem"


def test_every_public_service_has_a_route_and_every_service_a_cluster() -> None:
    settings = GatewaySettings(executor_host="10.0.0.9", executor_port=4444)
    resources = yaml.safe_load(render(settings))["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    routed = [route["match"]["prefix"] for route in manager["route_config"]["virtual_hosts"][0]["routes"] if "grpc" in route["match"]]
    clusters = {cluster["name"]: cluster for cluster in resources["clusters"]}

    assert routed == [f"/{service}/" for service in public_services(settings.descriptor)]
    assert set(clusters) == {"nowhere", *SERVICES}
    endpoint = clusters["executor"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint["address"]["socket_address"] == {"address": "10.0.0.9", "port_value": 4444}


def test_native_calls_are_not_held_up() -> None:
    """Filters that wait for the end of a body are off on their routes."""
    listener = yaml.safe_load(render(GatewaySettings()))["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    routes = [route for route in manager["route_config"]["virtual_hosts"][0]["routes"] if "grpc" in route["match"]]
    off = [{name for name, its in route["typed_per_filter_config"].items() if its["disabled"]} for route in routes]
    assert off == [{"envoy.filters.http.buffer", "envoy.filters.http.lua"}] * len(routes)


@pytest.mark.parametrize(("timeout", "idle"), [(30, "60s"), (300, "300s")])
def test_a_call_that_is_waited_for_is_not_taken_for_an_idle_one(timeout: int, idle: str) -> None:
    listener = yaml.safe_load(render(GatewaySettings(timeout_seconds=timeout)))["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert (manager["stream_idle_timeout"], manager["request_timeout"]) == (idle, f"{timeout}s")


@pytest.mark.parametrize("missing", ["descriptor", "tls_dir"])
def test_what_is_missing_is_told_with_what_to_do(tmp_path: Path, tls_dir: Path, missing: str) -> None:
    settings = {"GATEWAY_TLS_DIR": str(tls_dir), "GATEWAY_CONFIG_OUT": str(tmp_path / "envoy.yaml")}
    settings[f"GATEWAY_{missing.upper()}"] = str(tmp_path / "nowhere")
    ended = subprocess.run([sys.executable, "-m", "localcloud.gateway"], env=settings, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "is missing: `make gen`" in ended.stderr
