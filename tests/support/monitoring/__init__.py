"""Checks of deploy/monitoring, by Prometheus's own tools: `python -m tests.support.monitoring`.

1. `promtool` accepts the rules, and the expressions of the dashboards as rules.
2. Each alert fires when it should, alone, and none does while all is well (`cases`), by promtool's unit tests.
3. Over a running suite, every expression of a dashboard finds data, and the alerts fire for what is broken there (`live`).
"""
