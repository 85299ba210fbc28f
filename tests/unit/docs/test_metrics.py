"""docs/metrics.md lists every metric of the services, as it is registered."""

import importlib
import re

from prometheus_client import REGISTRY

from services.platform.settings import REPOSITORY

ROW = re.compile(r"^\| `(convergence_\w+)` \| (\w+) \|([^|]*)\| [^|]+ \|$", re.MULTILINE)
LABEL = re.compile(r"`(\w+)`")


def registered() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Each metric by its name in an exposition, with its type and labels."""
    for path in sorted((REPOSITORY / "services/platform/metrics").glob("*.py")):
        importlib.import_module(f"services.platform.metrics.{path.stem}".removesuffix(".__init__"))
    found = dict[str, tuple[str, tuple[str, ...]]]()
    for metric in list(REGISTRY._collector_to_names):
        name, kind = getattr(metric, "_name", ""), getattr(metric, "_type", "")
        if name.startswith("convergence_"):
            found[f"{name}_total" if kind == "counter" else name] = (kind, metric._labelnames)  # type: ignore[attr-defined]
    return found


def test_the_page_lists_every_metric_with_its_type_and_labels_and_no_other() -> None:
    page = (REPOSITORY / "docs/metrics.md").read_text()
    listed = {name: (kind, tuple(LABEL.findall(labels))) for name, kind, labels in ROW.findall(page)}
    assert listed == registered()


def test_no_metric_has_a_label_for_tenants_or_one_that_prometheus_renames() -> None:
    labels = {label for _, names in registered().values() for label in names}
    assert labels.isdisjoint({"tenant", "tenant_id", "run", "pipeline_logging_id", "user_id", "job", "instance"})
