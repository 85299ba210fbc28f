-- Rows of the control dataset that processes write in the background.

-- name: insert_platform_events
-- For a table that is too young for streaming. A replay writes the rows again with the same ids, and readers fold them.
-- param: events ARRAY<STRUCT<event_id STRING, time TIMESTAMP, kind STRING, service STRING, name STRING, value FLOAT64>>
INSERT INTO platform_events (event_id, time, kind, service, name, value)
SELECT e.event_id, e.time, e.kind, e.service, e.name, e.value
FROM UNNEST(@events) AS e
