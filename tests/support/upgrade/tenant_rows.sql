-- The records of the two runs that an executor was executing when it died, and of one that had ended before; a published day.
INSERT INTO x_meta_pipeline_runs (
  pipeline_logging_id, tenant_id, pipeline_id, status, trigger_type, trigger_by, run_id, attempt, parameters, started_at, deadline_at,
  completed_at, duration_ms, rows_processed
)
SELECT
  r.id, @tenant_id, CONCAT(@tenant_id, '-gcp-cost-billing'), r.status,
  IF(r.id = @scheduled, 'scheduler', 'api'), IF(r.id = @scheduled, 'cloud_scheduler', 'api'),
  IF(r.id = @scheduled, @claimed, NULL), IF(r.id = @scheduled, 1, NULL), JSON '{"date": "2025-11-15"}',
  TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 25 MINUTE), TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 35 MINUTE),
  IF(r.status = 'COMPLETED', TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 24 MINUTE), NULL), IF(r.status = 'COMPLETED', 60000, NULL),
  IF(r.status = 'COMPLETED', 2, NULL)
FROM UNNEST([STRUCT(@scheduled AS id, 'RUNNING' AS status), STRUCT(@called, 'RUNNING'), STRUCT(@ended, 'COMPLETED')]) AS r;
INSERT INTO x_meta_step_logs (log_id, tenant_id, pipeline_logging_id, step_id, step_type, step_index, attempt, action, status, timestamp)
SELECT
  CONCAT('log-', @tenant_id), @tenant_id, @ended, 'extract', 'gcp.bigquery_extract', 0, 1, 'STEP_COMPLETED', 'COMPLETED',
  TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 24 MINUTE)
FROM (SELECT 1 AS one) AS o;
INSERT INTO billing_cost_daily (usage_date, service_description, usage_start_time, cost, net_cost, currency, pipeline_logging_id)
SELECT DATE '2025-11-15', 'Compute Engine', TIMESTAMP '2025-11-15 05:00:00+00', c, c, 'USD', @ended
FROM UNNEST([4.0, 2.5]) AS c
