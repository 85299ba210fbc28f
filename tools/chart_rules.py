"""Writes the alerts into the Helm chart, which can read only files of its own: `python -m tools.chart_rules`."""

from typing import Final

from services.platform.settings import REPOSITORY

ALERTS: Final = REPOSITORY / "deploy" / "monitoring" / "alerts.yml"
CHART_RULES: Final = REPOSITORY / "deploy" / "helm" / "convergence" / "files" / "alerts.yml"
HEAD: Final = "# A copy of deploy/monitoring/alerts.yml, written by `python -m tools.chart_rules`.\n"


def chart_rules() -> str:
    """The chart's copy."""
    return HEAD + ALERTS.read_text()


if __name__ == "__main__":
    CHART_RULES.parent.mkdir(exist_ok=True)
    CHART_RULES.write_text(chart_rules())
