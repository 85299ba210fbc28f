"""Envoy's rendered configuration."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.envoy import render, render_secrets
from gateway.public_rpcs import public_rpcs
from gateway.settings import GatewaySettings
from localcloud.settings import SERVICES
from services.platform.settings import REPOSITORY


def test_no_value_can_break_out_of_its_place(tmp_path: Path) -> None:
    """Paths may hold spaces, quotes and dollars."""
    odd = tmp_path / 'a "b" ${c} \\d'
    settings = GatewaySettings(tls_dir=odd, config_out=odd / "envoy.yaml")
    config = yaml.safe_load(render(settings))
    context = config["static_resources"]["clusters"][1]["transport_socket"]["typed_config"]["common_tls_context"]
    source = context["combined_validation_context"]["validation_context_sds_secret_config"]["sds_config"]["path_config_source"]
    assert source["path"] == f"{odd}/envoy.authority.yaml"
    [authority] = yaml.safe_load(render_secrets(settings)["authority"])["resources"]
    assert authority["validation_context"]["trusted_ca"]["filename"] == f"{odd}/ca.pem"


def test_every_public_rpc_has_its_routes_and_every_service_a_cluster() -> None:
    settings = GatewaySettings(executor_host="10.0.0.9", executor_port=4444, spiffe_id="spiffe://prod.test/sa/{service}")
    resources = yaml.safe_load(render(settings))["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    routed = [route["match"]["path"] for route in manager["route_config"]["virtual_hosts"][0]["routes"] if "grpc" in route["match"]]
    clusters = {cluster["name"]: cluster for cluster in resources["clusters"]}

    assert list(dict.fromkeys(routed)) == [rpc.path for rpc in public_rpcs(settings.descriptor)]
    assert set(clusters) == {"nowhere", "own_pages", *SERVICES}
    context = clusters["executor"]["transport_socket"]["typed_config"]["common_tls_context"]
    assert context["combined_validation_context"]["default_validation_context"]["match_typed_subject_alt_names"] == [
        {"san_type": "DNS", "matcher": {"exact": "executor.convergence.internal"}},
        {"san_type": "URI", "matcher": {"exact": "spiffe://prod.test/sa/executor"}},
    ]
    endpoint = clusters["executor"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint["address"]["socket_address"] == {"address": "10.0.0.9", "port_value": 4444}


@pytest.mark.parametrize(("timeout", "idle"), [(30, "60s"), (300, "300s")])
def test_a_call_that_is_waited_for_is_not_taken_for_an_idle_one(timeout: int, idle: str) -> None:
    listener = yaml.safe_load(render(GatewaySettings(timeout_seconds=timeout)))["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["stream_idle_timeout"] == idle


@pytest.mark.parametrize("missing", ["descriptor", "tls_dir"])
def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path, tls_dir: Path, missing: str) -> None:
    settings = {"GATEWAY_TLS_DIR": str(tls_dir), "GATEWAY_CONFIG_OUT": str(tmp_path / "envoy.yaml")}
    settings[f"GATEWAY_{missing.upper()}"] = str(tmp_path / "nowhere")
    ended = subprocess.run([sys.executable, "-m", "gateway"], env=settings, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "is missing: `make gen`" in ended.stderr


def test_every_setting_is_in_the_guide() -> None:
    guide = (REPOSITORY / "docs/google-cloud.md").read_text()
    services = {f"{service}_{part}" for service in SERVICES for part in ("host", "port")} - {"auth_host", "auth_port"}
    assert [name for name in GatewaySettings.model_fields if f"`GATEWAY_{name.upper()}`" not in guide and name not in services] == []


def test_what_is_said_of_an_unknown_parameter_names_the_fields_of_each_call_and_is_short() -> None:
    settings = GatewaySettings()
    script = next(line for line in render(settings).splitlines() if "local FIELDS" in line)
    rpcs = public_rpcs(settings.descriptor)
    assert len({rpc.request for rpc in rpcs}) == len(rpcs), "a request tells its call"
    for rpc in rpcs:
        [said] = re.findall(rf'\[\\"{re.escape(rpc.request)}\\"\] = \\"(.*?)\\",', script)
        assert all(name in said for name in (*rpc.in_query, *rpc.in_body)), rpc.request
        assert len(said) < 700, rpc.request
