-- What is deleted of the scheduler's tables.

-- name: delete_old_scheduled_runs
-- A run in the queue stays, whatever its row says: a run that is being settled already has its end, and a run that waits for a retry has a
-- failure. A replay finds nothing. If such a run is retried at this moment, the retry changes the same row: it is cancelled, and then finds
-- that there is no such run.
-- param: before TIMESTAMP
DELETE FROM scheduled_pipeline_runs AS r
WHERE r.scheduled_time < @before AND r.completed_at < @before AND r.state IN ('COMPLETED', 'FAILED')
  AND r.run_id NOT IN (SELECT q.run_id FROM pipeline_execution_queue AS q)
