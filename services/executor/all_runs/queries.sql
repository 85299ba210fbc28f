-- The runs of all tenants. The default dataset is the control dataset.

-- name: insert_tenant_runs
-- For a table that is too young for streaming. A replay writes the rows again with the same ids, and readers fold them.
-- param: runs ARRAY<STRUCT<entry_id STRING, tenant_id STRING, pipeline_logging_id STRING, pipeline_id STRING, status STRING, trigger_type STRING, started_at TIMESTAMP, completed_at TIMESTAMP, error_message STRING, cost_usd FLOAT64, written_at TIMESTAMP>>
INSERT INTO tenant_runs (
  entry_id, tenant_id, pipeline_logging_id, pipeline_id, status, trigger_type, started_at, completed_at, error_message, cost_usd, written_at
)
SELECT
  n.entry_id, n.tenant_id, n.pipeline_logging_id, n.pipeline_id, n.status, n.trigger_type, n.started_at, n.completed_at, n.error_message,
  n.cost_usd, n.written_at
FROM UNNEST(@runs) AS n

-- name: list_all_runs
-- Reads only. The rows of a run are folded: one that has ended has, besides, the end that its own row had when it was written; of several ends
-- one may lack the cost. `read_from` and `read_before` are constants that leave BigQuery a few partitions to read. Pages are cut by key, not
-- by offset, so that a new run shifts nothing.
-- param: tenant_id STRING
-- param: status STRING
-- param: pipeline_id STRING
-- param: began_from TIMESTAMP
-- param: began_before TIMESTAMP
-- param: read_from TIMESTAMP
-- param: read_before TIMESTAMP
-- param: after_started_at TIMESTAMP
-- param: after_id STRING
-- param: row_limit INT64
SELECT
  r.tenant_id, r.pipeline_logging_id, r.pipeline_id, IFNULL(r.end_status, 'RUNNING') AS status, r.trigger_type, r.started_at, r.completed_at,
  r.error_message, r.cost_usd
FROM (
  SELECT
    t.tenant_id, t.pipeline_logging_id,
    MAX(t.pipeline_id) AS pipeline_id,
    MAX(IF(t.status = 'RUNNING', NULL, t.status)) AS end_status,
    MAX(t.trigger_type) AS trigger_type,
    MIN(t.started_at) AS started_at,
    MIN(t.completed_at) AS completed_at,
    MAX(t.error_message) AS error_message,
    MAX(t.cost_usd) AS cost_usd
  FROM tenant_runs AS t
  WHERE t.started_at >= @read_from AND t.started_at < @read_before
    AND (@tenant_id IS NULL OR t.tenant_id = @tenant_id)
    AND (@pipeline_id IS NULL OR t.pipeline_id = @pipeline_id)
  GROUP BY t.tenant_id, t.pipeline_logging_id
) AS r
WHERE r.started_at >= @began_from AND r.started_at < @began_before
  AND (@status IS NULL OR IFNULL(r.end_status, 'RUNNING') = @status)
  AND (
    @after_started_at IS NULL OR r.started_at < @after_started_at
    OR (r.started_at = @after_started_at AND r.pipeline_logging_id > @after_id)
  )
ORDER BY r.started_at DESC, r.pipeline_logging_id
LIMIT @row_limit
