-- What the services' processes report about themselves, for GetFleet: they stream it in the background, so that it costs no statement. A row
-- may be written twice. kind: see services/platform/reporting/events.py, which says what name and value are of each.
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
