-- Events that the services' processes report about themselves, for GetFleet. They are streamed in the background, so they need no
-- statement. A row may be written twice. kind: services/platform/reporting/events.py lists the kinds, and what name and value mean for
-- each.
CREATE TABLE IF NOT EXISTS platform_events (
  event_id STRING NOT NULL,
  time TIMESTAMP NOT NULL,
  kind STRING NOT NULL,
  service STRING,
  name STRING,
  value FLOAT64
)
PARTITION BY DATE(time)
CLUSTER BY kind
