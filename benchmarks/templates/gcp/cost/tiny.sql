-- The SQL of tiny.yml.

-- name: look
-- A run looks for its own row. Reads only.
-- param: pipeline_logging_id STRING
SELECT 'own_row' AS check_name, ABS(COUNT(*) - 1) AS failing_rows, CAST(COUNT(*) AS STRING) AS observed_value
FROM x_meta_pipeline_runs
WHERE pipeline_logging_id = @pipeline_logging_id
