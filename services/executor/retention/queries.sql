-- Deletes old rows of a tenant's dataset, one table in each block. The blocks do not depend on each other, so each may fail or be repeated
-- alone. A replay finds nothing. All rows of a RUNNING run stay. BigQuery cannot delete rows that were streamed recently; these are younger
-- than any @before.

-- name: delete_old_step_logs
-- Lines about credentials have no run, and stay.
-- param: before TIMESTAMP
DELETE FROM x_meta_step_logs AS l
WHERE l.timestamp < @before AND l.pipeline_logging_id IS NOT NULL
  AND l.pipeline_logging_id NOT IN (SELECT r.pipeline_logging_id FROM x_meta_pipeline_runs AS r WHERE r.status = 'RUNNING')

-- name: delete_old_dq_results
-- param: before TIMESTAMP
DELETE FROM x_meta_dq_results AS d
WHERE d.executed_at < @before
  AND d.pipeline_logging_id NOT IN (SELECT r.pipeline_logging_id FROM x_meta_pipeline_runs AS r WHERE r.status = 'RUNNING')

-- name: delete_old_fences
-- A run that has ended publishes no more, whether its fence is there or not. The lock, which has no state, is of no run, and stays.
-- param: before TIMESTAMP
DELETE FROM x_meta_publish_fences AS f
WHERE f.updated_at < @before AND f.state IS NOT NULL
  AND f.pipeline_logging_id NOT IN (SELECT r.pipeline_logging_id FROM x_meta_pipeline_runs AS r WHERE r.status = 'RUNNING')

-- name: delete_old_runs
-- If a run has two rows and one of them has not ended, both stay until it has.
-- param: before TIMESTAMP
DELETE FROM x_meta_pipeline_runs AS r
WHERE r.completed_at < @before AND r.status IN ('COMPLETED', 'FAILED', 'CANCELLED')
  AND r.pipeline_logging_id NOT IN (SELECT u.pipeline_logging_id FROM x_meta_pipeline_runs AS u WHERE u.status = 'RUNNING')
