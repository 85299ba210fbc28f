-- Verdicts of quality checks. The default dataset is the tenant's own.

-- name: list_quality_results
-- Reads only. A verdict that was written twice is folded, and so is a run with two rows. A tenant's table may lack sample_rows, which is
-- NULL then. The two tables are not partitioned: years of a tenant's verdicts are smaller than 10 MB, the minimum that BigQuery bills.
-- Pages are cut by key, not by offset, so that a new verdict shifts nothing.
-- param: executed_from TIMESTAMP
-- param: executed_before TIMESTAMP
-- param: pipeline_id STRING
-- param: check_name STRING
-- param: status STRING
-- param: after_executed_at TIMESTAMP
-- param: after_id STRING
-- param: row_limit INT64
SELECT
  d.dq_result_id, d.tenant_id, d.user_id, d.pipeline_logging_id, d.step_id, d.table_name, d.check_name, d.severity, d.status, d.observed_value,
  d.threshold, d.failing_rows, d.executed_at, d.sample_rows, r.pipeline_id
FROM (
  SELECT
    q.dq_result_id, q.tenant_id, q.user_id, q.pipeline_logging_id, q.step_id, q.table_name, q.check_name, q.severity, q.status,
    q.observed_value, q.threshold, q.failing_rows, q.executed_at, TO_JSON(q).sample_rows AS sample_rows
  FROM x_meta_dq_results AS q
  WHERE q.executed_at >= @executed_from AND q.executed_at < @executed_before
    AND (@check_name IS NULL OR q.check_name = @check_name)
    AND (@status IS NULL OR q.status = @status)
    AND (
      @after_executed_at IS NULL OR q.executed_at < @after_executed_at OR (q.executed_at = @after_executed_at AND q.dq_result_id > @after_id)
    )
  QUALIFY ROW_NUMBER() OVER (PARTITION BY q.dq_result_id ORDER BY q.executed_at) = 1
) AS d
LEFT JOIN (
  SELECT p.pipeline_logging_id, MIN(p.pipeline_id) AS pipeline_id FROM x_meta_pipeline_runs AS p GROUP BY p.pipeline_logging_id
) AS r ON r.pipeline_logging_id = d.pipeline_logging_id
WHERE @pipeline_id IS NULL OR r.pipeline_id = @pipeline_id
ORDER BY d.executed_at DESC, d.dq_result_id
LIMIT @row_limit
