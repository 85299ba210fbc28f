"""What alerts and dashboards ask for is exposed by a suite that runs. Needs no Prometheus; with one: `make check-monitoring`."""

import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from localcloud.settings import SERVICES
from tests.support.monitoring.rules import alerts, metric_names, panels, recorded
from tests.system.tenants import Suite

OF_PROMETHEUS = {"up"}
JOBS = {
    "auth": {"reset-daily-quotas"},
    "scheduler": {"trigger", "process-queue"},
    "executor": {"check-credentials"},
    "credentials": set[str](),
}


@pytest.fixture(scope="module")
def exposed(running: Suite) -> dict[str, dict[str, list[dict[str, str]]]]:
    """Of each part, its metrics by name, with the labels of their samples."""
    assert running.anyone.call("GET", "/api/v1/tenants/t/quota").status == 401
    found = {}
    for part in (*SERVICES, "gateway"):
        with urllib.request.urlopen(f"http://{running.local.address(f'{part}_metrics')}/metrics", timeout=10) as page:
            families = text_string_to_metric_families(page.read().decode())
            found[part] = {
                f"{family.name}_total" if family.type == "counter" and family.name.startswith("convergence") else family.name: [
                    sample.labels for sample in family.samples
                ]
                for family in families
            }
    return found


def test_every_metric_of_alerts_and_dashboards_is_exposed(exposed: dict[str, dict[str, list[dict[str, str]]]]) -> None:
    asked = {
        name for expr in (*(one["expr"] for one in alerts().values()), *(panel.expr for panel in panels())) for name in metric_names(expr)
    }
    there = {name for names in exposed.values() for name in names}
    assert asked - recorded() - OF_PROMETHEUS - there == set()


def test_each_service_says_what_it_was_built_from_and_which_jobs_call_it(exposed: dict[str, dict[str, list[dict[str, str]]]]) -> None:
    assert {name: len(exposed[name]["convergence_build_info"]) for name in SERVICES} == dict.fromkeys(SERVICES, 1)
    jobs = {name: {labels["job_name"] for labels in exposed[name]["convergence_job_last_success_timestamp_seconds"]} for name in SERVICES}
    assert jobs == JOBS
