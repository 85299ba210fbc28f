"""Alerts, dashboards and runbook belong together, and name metrics that there are. What Prometheus says: `make check-monitoring`."""

import re

import pytest

from localcloud.settings import SERVICES
from services.platform.settings import REPOSITORY
from tests.support.monitoring.rules import MONITORING, UNITS, alerts, groups, metric_names, panels, recorded, sped_up
from tests.support.yaml_text import parsed
from tests.unit.docs.test_metrics import registered
from tests.unit.docs.test_paths import anchors
from tools.chart_rules import CHART_RULES, chart_rules
from tools.dashboards.__main__ import files

RUNBOOK = REPOSITORY / "docs" / "runbook.md"
OTHERS = {"process_resident_memory_bytes", "envoy_http_downstream_rq_xx", "up"}
"""Those of prometheus_client, of Envoy and of Prometheus itself."""


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on(name: str) -> None:
    alert = alerts()[name]
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["summary"].endswith(".")
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert (page, anchor) == ("docs/runbook.md", name.lower())
    assert f"#{anchor}" in anchors(RUNBOOK)
    entry = RUNBOOK.read_text().split(f"### {name}\n")[1].split("\n### ")[0].lower()
    assert f"({alert['labels']['severity']})" in entry
    assert all(part in entry for part in ("**it means**", "**look", "**do", "**do not**")), entry


def test_the_runbook_has_an_entry_for_each_finding_of_the_doctor_and_for_nothing_else() -> None:
    listed = (REPOSITORY / "docs" / "cli.md").read_text().split("## The doctor")[1].split("\n## ")[0]
    findings = {name for row in re.findall(r"^\| (`[^|]+`) \|", listed, re.MULTILINE) for name in re.findall(r"`([a-z-]+)`", row)}
    headings = set(re.findall(r"^### (\S+)$", RUNBOOK.read_text(), re.MULTILINE))
    assert headings == findings | set(alerts())


def test_the_doctor_s_page_lists_each_finding_of_its_code() -> None:
    listed = (REPOSITORY / "docs" / "cli.md").read_text()
    code = [*(REPOSITORY / "services/doctor/checks").glob("*.py"), *(REPOSITORY / "client/src/convergence/cli/doctor/checks").glob("*.py")]
    named = {name for path in code for name in re.findall(r"Finding\(\s*name=\"([a-z-]+)\"", path.read_text())}
    assert "role-missing" in named
    assert {name for name in named if f"`{name}`" not in listed} == set()


def test_every_metric_that_is_asked_for_exists() -> None:
    asked = {panel.expr for panel in panels()} | {rule["expr"] for group in groups() for rule in group["rules"]}
    names = {name for expr in asked for name in metric_names(expr)}
    assert names - {re.sub(r"_(bucket|sum|count)$", "", name) for name in registered()} - OTHERS == set()
    assert recorded() >= set(re.findall(r"convergence:\w+:\w+", " ".join(asked)))


def test_the_dashboards_are_up_to_date() -> None:
    assert {path.name for path, text in files() if path.read_text() != text} == set(), "run `python -m tools.dashboards`"


def test_the_chart_has_the_same_rules() -> None:
    assert CHART_RULES.read_text() == chart_rules(), "run `python -m tools.chart_rules`"


@pytest.mark.parametrize("longest", [20.0, 60.0])
def test_sped_up_rules_keep_their_shape_and_no_time_is_longer_than_that(longest: float) -> None:
    quick = {rule["alert"]: rule for group in sped_up(longest) for rule in group["rules"] if "alert" in rule}
    assert quick.keys() == alerts().keys()
    stopped = quick["ConvergenceTriggerStopped"]["expr"]
    assert f"[{longest * 1000:.0f}ms]" in stopped
    assert f"> {longest * 0.75:.3f}" in stopped, "135 minutes of three hours"
    assert metric_names(stopped) == metric_names(alerts()["ConvergenceTriggerStopped"]["expr"])
    kept = quick["ConvergenceCertificateExpires"]["expr"]
    assert kept.endswith("< 1209600.000")
    assert UNITS["d"] * 14 == 1209600


def test_compose_scrapes_each_service_where_it_listens_and_mounts_files_that_there_are() -> None:
    config = parsed((MONITORING / "prometheus.yml").read_text())
    scraped = {one["labels"]["service"]: one["targets"] for job in config["scrape_configs"] for one in job["static_configs"]}
    base, more = (parsed(path.read_text())["services"] for path in (REPOSITORY / "docker-compose.yml", MONITORING / "compose.yml"))
    ports = {name: base[name]["environment"]["CONVERGENCE_METRICS_PORT"] for name in SERVICES}
    ports["gateway"] = more["gateway"]["environment"]["GATEWAY_STATS_PORT"]
    assert scraped == {name: [f"{name}:{port}"] for name, port in ports.items()}

    for name in ("prometheus", "grafana"):
        assert more[name]["profiles"] == ["monitoring"]
        assert all(port.startswith("127.0.0.1:") for port in more[name]["ports"])
        assert [mount for mount in more[name]["volumes"] if not (REPOSITORY / mount.split(":")[0]).exists()] == []
