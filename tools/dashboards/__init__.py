"""Writes deploy/monitoring/dashboards: `python -m tools.dashboards`. `boards` says what is on them, `grafana` how Grafana wants it."""
