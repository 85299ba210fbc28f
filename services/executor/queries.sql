-- Statements of the executor. The default dataset is the tenant's own.

-- name: insert_run
-- The runs of a tenant that begin at the same moment. Replayed, it changes nothing: the rows of these ids are there. Two replays at the very
-- same moment could both insert (INSERTs conflict with nothing): readers fold rows of one id, and whatever ends the run changes both.
-- param: runs ARRAY<STRUCT<pipeline_logging_id STRING, tenant_id STRING, pipeline_id STRING, user_id STRING, status STRING, trigger_type STRING, trigger_by STRING, run_id STRING, attempt INT64, parameters STRING, started_at TIMESTAMP, deadline_at TIMESTAMP, claimed_by STRING>>
INSERT INTO x_meta_pipeline_runs (
  pipeline_logging_id, tenant_id, pipeline_id, user_id, status, trigger_type, trigger_by, run_id, attempt, parameters, started_at, deadline_at,
  claimed_by
)
SELECT
  n.pipeline_logging_id, n.tenant_id, n.pipeline_id, n.user_id, n.status, n.trigger_type, n.trigger_by, n.run_id, n.attempt,
  PARSE_JSON(n.parameters), n.started_at, n.deadline_at, n.claimed_by
FROM UNNEST(@runs) AS n
WHERE NOT EXISTS (SELECT 1 FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = n.pipeline_logging_id)

-- name: claim_run
-- Runs that several may be told to start at once, and one must lead each; those of a tenant that come together. The guarded INSERT may happen
-- twice at the very same moment (see insert_run), so it claims nothing; the UPDATE does, where no row of the id is claimed. Two UPDATEs
-- that would change the same row run one after the other, and of two concurrent callers the later UPDATE sees both rows: one leads. claimed_by
-- is drawn by each caller, and whether the rows carry it is the answer: replayed, nothing changes and the answer is the same. A row with a
-- deadline is claimed: both are set together, and by an executor from before claimed_by the deadline alone. Each statement commits by itself:
-- a job that ends in the middle leaves rows that nobody leads, and the reconciler ends them.
-- param: runs ARRAY<STRUCT<pipeline_logging_id STRING, tenant_id STRING, pipeline_id STRING, user_id STRING, trigger_type STRING, trigger_by STRING, run_id STRING, attempt INT64, parameters STRING, started_at TIMESTAMP, deadline_at TIMESTAMP, claimed_by STRING>>
INSERT INTO x_meta_pipeline_runs (
  pipeline_logging_id, tenant_id, pipeline_id, user_id, status, trigger_type, trigger_by, run_id, attempt, parameters, started_at
)
SELECT
  n.pipeline_logging_id, n.tenant_id, n.pipeline_id, n.user_id, 'RUNNING', n.trigger_type, n.trigger_by, n.run_id, n.attempt,
  PARSE_JSON(n.parameters), n.started_at
FROM UNNEST(@runs) AS n
WHERE NOT EXISTS (SELECT 1 FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = n.pipeline_logging_id);
UPDATE x_meta_pipeline_runs AS r SET deadline_at = n.deadline_at, claimed_by = n.claimed_by
FROM UNNEST(@runs) AS n
WHERE r.pipeline_logging_id = n.pipeline_logging_id AND r.status = 'RUNNING'
  AND NOT EXISTS (
    SELECT 1 FROM x_meta_pipeline_runs AS d WHERE d.pipeline_logging_id = n.pipeline_logging_id AND d.deadline_at IS NOT NULL
  );
SELECT r.pipeline_logging_id, MIN(r.claimed_by) AS claimed_by, MIN(r.status) AS status
FROM x_meta_pipeline_runs AS r
WHERE r.pipeline_logging_id IN (SELECT n.pipeline_logging_id FROM UNNEST(@runs) AS n)
GROUP BY r.pipeline_logging_id;

-- name: overlapping_run
-- Reads only. Another run of the pipeline that works on one of these days; days in text, YYYY-MM-DD, are in order. A run whose deadline has
-- passed works no more, whatever its row says.
-- param: pipeline_logging_id STRING
-- param: pipeline_id STRING
-- param: started_at TIMESTAMP
-- param: first_day DATE
-- param: last_day DATE
SELECT MIN(r.pipeline_logging_id) AS other
FROM x_meta_pipeline_runs AS r
WHERE r.pipeline_id = @pipeline_id AND r.status = 'RUNNING' AND r.deadline_at > @started_at
    AND r.pipeline_logging_id != @pipeline_logging_id
    AND COALESCE(JSON_VALUE(r.parameters, '$.start_date'), JSON_VALUE(r.parameters, '$.date')) <= CAST(@last_day AS STRING)
    AND COALESCE(JSON_VALUE(r.parameters, '$.end_date'), JSON_VALUE(r.parameters, '$.date')) >= CAST(@first_day AS STRING)

-- name: claim_run_exclusively
-- As claim_run, but only while no other run of the pipeline works on one of the days. Two that come at the same moment may both be inserted,
-- without a deadline. What decides is the UPDATE: it also touches the rows of all other RUNNING runs of the pipeline, so that two of them
-- change a row in common, run one after the other, and the later one finds that the earlier one has its deadline. Who is not let in takes its
-- row away again. Replayed, it changes nothing once the row is claimed, and else decides anew.
-- param: pipeline_logging_id STRING
-- param: tenant_id STRING
-- param: pipeline_id STRING
-- param: user_id STRING
-- param: trigger_type STRING
-- param: trigger_by STRING
-- param: run_id STRING
-- param: attempt INT64
-- param: parameters JSON
-- param: started_at TIMESTAMP
-- param: deadline_at TIMESTAMP
-- param: claimed_by STRING
-- param: first_day DATE
-- param: last_day DATE
INSERT INTO x_meta_pipeline_runs (
  pipeline_logging_id, tenant_id, pipeline_id, user_id, status, trigger_type, trigger_by, run_id, attempt, parameters, started_at
)
SELECT
  @pipeline_logging_id, @tenant_id, @pipeline_id, @user_id, 'RUNNING', @trigger_type, @trigger_by, @run_id, @attempt, @parameters, @started_at
FROM (SELECT 1 AS one) AS o
WHERE NOT EXISTS (SELECT 1 FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = @pipeline_logging_id);
UPDATE x_meta_pipeline_runs
SET
  deadline_at = IF(pipeline_logging_id = @pipeline_logging_id, @deadline_at, deadline_at),
  claimed_by = IF(pipeline_logging_id = @pipeline_logging_id, @claimed_by, claimed_by)
WHERE pipeline_id = @pipeline_id AND status = 'RUNNING' AND (
  pipeline_logging_id != @pipeline_logging_id
  OR NOT EXISTS (
    SELECT 1 FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = @pipeline_logging_id AND r.deadline_at IS NOT NULL
  ) AND NOT EXISTS (
    SELECT 1 FROM x_meta_pipeline_runs AS r
    WHERE r.pipeline_id = @pipeline_id AND r.status = 'RUNNING' AND r.deadline_at > @started_at
    AND r.pipeline_logging_id != @pipeline_logging_id
    AND COALESCE(JSON_VALUE(r.parameters, '$.start_date'), JSON_VALUE(r.parameters, '$.date')) <= CAST(@last_day AS STRING)
    AND COALESCE(JSON_VALUE(r.parameters, '$.end_date'), JSON_VALUE(r.parameters, '$.date')) >= CAST(@first_day AS STRING)
  )
);
DELETE FROM x_meta_pipeline_runs
WHERE pipeline_logging_id = @pipeline_logging_id AND status = 'RUNNING' AND NOT EXISTS (
  SELECT 1 FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = @pipeline_logging_id AND r.deadline_at IS NOT NULL
);
SELECT
  (SELECT LOGICAL_OR(r.claimed_by = @claimed_by) FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = @pipeline_logging_id) AS leads,
  (SELECT MIN(r.status) FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = @pipeline_logging_id) AS status,
  (
    SELECT MIN(r.pipeline_logging_id) FROM x_meta_pipeline_runs AS r
    WHERE r.pipeline_id = @pipeline_id AND r.status = 'RUNNING' AND r.deadline_at > @started_at
    AND r.pipeline_logging_id != @pipeline_logging_id
    AND COALESCE(JSON_VALUE(r.parameters, '$.start_date'), JSON_VALUE(r.parameters, '$.date')) <= CAST(@last_day AS STRING)
    AND COALESCE(JSON_VALUE(r.parameters, '$.end_date'), JSON_VALUE(r.parameters, '$.date')) >= CAST(@first_day AS STRING)
  ) AS other;

-- name: insert_refused_run
-- A scheduled attempt that could not begin, for a reason that another attempt cannot heal. That its deadline is its start says the same to an
-- executor from before is_final. Replayed, it changes nothing.
-- param: pipeline_logging_id STRING
-- param: tenant_id STRING
-- param: pipeline_id STRING
-- param: trigger_type STRING
-- param: trigger_by STRING
-- param: run_id STRING
-- param: attempt INT64
-- param: parameters JSON
-- param: started_at TIMESTAMP
-- param: error_message STRING
INSERT INTO x_meta_pipeline_runs (
  pipeline_logging_id, tenant_id, pipeline_id, status, trigger_type, trigger_by, run_id, attempt, parameters,
  started_at, deadline_at, completed_at, duration_ms, error_message, is_final
)
SELECT
  @pipeline_logging_id, @tenant_id, @pipeline_id, 'FAILED', @trigger_type, @trigger_by, @run_id, @attempt, @parameters,
  @started_at, @started_at, @started_at, 0, @error_message, TRUE
FROM (SELECT 1 AS one) AS o
WHERE NOT EXISTS (SELECT 1 FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = @pipeline_logging_id)

-- name: complete_run
-- Compare-and-set: the first who finds the run RUNNING ends it, everybody after that changes nothing. By itself, not a case of end_run: its fence
-- stays open, and one statement is what most runs end with.
-- param: pipeline_logging_id STRING
-- param: completed_at TIMESTAMP
-- param: rows_processed INT64
UPDATE x_meta_pipeline_runs SET
  status = 'COMPLETED',
  completed_at = @completed_at,
  duration_ms = TIMESTAMP_DIFF(@completed_at, started_at, MILLISECOND),
  rows_processed = @rows_processed
WHERE pipeline_logging_id = @pipeline_logging_id AND status = 'RUNNING'

-- name: end_run
-- Ends a run otherwise than by completing: first its publishing fence is closed, then the row says so, so that nothing of a run that is seen to
-- have ended is published afterwards (services/executor/steps/publish_script.py). Whether the fence row is there yet or not: a publisher that
-- has not made it finds the CLOSED one, made here; one that has made it meets the first UPDATE, which waits for its transaction or cancels it.
-- Compare-and-set, as complete_run: replayed, or for a run that has ended, it changes nothing.
-- param: pipeline_logging_id STRING
-- param: status STRING
-- param: completed_at TIMESTAMP
-- param: error_message STRING
-- param: is_final BOOL
INSERT INTO x_meta_publish_fences (pipeline_logging_id, state, updated_at)
SELECT DISTINCT r.pipeline_logging_id, 'CLOSED', @completed_at
FROM x_meta_pipeline_runs AS r
WHERE r.pipeline_logging_id = @pipeline_logging_id AND r.status = 'RUNNING'
  AND NOT EXISTS (SELECT 1 FROM x_meta_publish_fences AS f WHERE f.pipeline_logging_id = @pipeline_logging_id AND f.state = 'CLOSED');
UPDATE x_meta_publish_fences SET state = 'CLOSED', updated_at = @completed_at
WHERE pipeline_logging_id = @pipeline_logging_id AND state = 'OPEN'
  AND EXISTS (SELECT 1 FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = @pipeline_logging_id AND r.status = 'RUNNING');
UPDATE x_meta_pipeline_runs SET
  status = @status,
  completed_at = @completed_at,
  duration_ms = TIMESTAMP_DIFF(@completed_at, started_at, MILLISECOND),
  error_message = @error_message,
  is_final = @is_final
WHERE pipeline_logging_id = @pipeline_logging_id AND status = 'RUNNING';
SELECT MIN(r.status) AS status FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = @pipeline_logging_id

-- name: run_states
-- Reads only. What became of these runs; a run that was never inserted is not in the answer. Of two rows of one id the one that has ended tells:
-- RUNNING is the last of the words.
-- param: pipeline_logging_ids ARRAY<STRING>
SELECT pipeline_logging_id, MIN(status) AS status, MIN(started_at) AS started_at
FROM x_meta_pipeline_runs
WHERE pipeline_logging_id IN UNNEST(@pipeline_logging_ids)
GROUP BY pipeline_logging_id

-- name: overdue_runs
-- Reads only. A row whose INSERT was cut short has no deadline; a day is longer than any run.
-- param: since TIMESTAMP
SELECT DISTINCT pipeline_logging_id
FROM x_meta_pipeline_runs
WHERE status = 'RUNNING' AND COALESCE(deadline_at, TIMESTAMP_ADD(started_at, INTERVAL 1 DAY)) < @since

-- name: run_ends
-- Reads only. What the scheduler asks: how runs stand, and of those that FAILED whether another attempt may heal it; NULL where an executor from
-- before is_final has ended one. Rows of one id are folded to the one that has ended.
-- param: pipeline_logging_ids ARRAY<STRING>
-- param: since TIMESTAMP
SELECT
  r.pipeline_logging_id, r.status, r.error_message,
  IF(r.status = 'FAILED', r.is_final, FALSE) AS is_final,
  r.status = 'RUNNING' AND COALESCE(r.deadline_at, TIMESTAMP_ADD(r.started_at, INTERVAL 1 DAY)) < @since AS is_overdue
FROM x_meta_pipeline_runs AS r
WHERE r.pipeline_logging_id IN UNNEST(@pipeline_logging_ids)
QUALIFY ROW_NUMBER() OVER (PARTITION BY r.pipeline_logging_id ORDER BY r.completed_at DESC) = 1

-- name: final_before_is_final
-- Reads only. Of FAILED runs whose rows do not say it (see run_ends), those that another attempt cannot heal: the line of the failed step says so,
-- or the run was refused, which its deadline shows. A run without such a line (its executor was lost) may be tried again.
-- param: pipeline_logging_ids ARRAY<STRING>
SELECT l.pipeline_logging_id
FROM x_meta_step_logs AS l
WHERE l.pipeline_logging_id IN UNNEST(@pipeline_logging_ids) AND l.action = 'STEP_FAILED' AND JSON_VALUE(l.metadata, '$.can_heal') = 'false'
UNION DISTINCT
SELECT r.pipeline_logging_id
FROM x_meta_pipeline_runs AS r
WHERE r.pipeline_logging_id IN UNNEST(@pipeline_logging_ids) AND r.deadline_at = r.started_at

-- name: list_runs
-- Reads only. Rows of one id are folded to the one that has ended. Pages are cut by key, not by offset, so a new run shifts nothing.
-- param: status STRING
-- param: pipeline_id STRING
-- param: began_from TIMESTAMP
-- param: began_before TIMESTAMP
-- param: after_started_at TIMESTAMP
-- param: after_id STRING
-- param: row_limit INT64
SELECT
  pipeline_logging_id, tenant_id, pipeline_id, user_id, status, trigger_type, trigger_by, run_id, attempt, parameters, started_at, deadline_at,
  completed_at, duration_ms, rows_processed, error_message
FROM x_meta_pipeline_runs
WHERE (@status IS NULL OR status = @status)
  AND (@pipeline_id IS NULL OR pipeline_id = @pipeline_id)
  AND (@began_from IS NULL OR (started_at >= @began_from AND started_at < @began_before))
  AND (@after_started_at IS NULL OR started_at < @after_started_at OR (started_at = @after_started_at AND pipeline_logging_id > @after_id))
QUALIFY ROW_NUMBER() OVER (PARTITION BY pipeline_logging_id ORDER BY completed_at DESC) = 1
ORDER BY started_at DESC, pipeline_logging_id
LIMIT @row_limit

-- name: get_run
-- Reads only. Rows of one id are folded to the one that has ended.
-- param: pipeline_logging_id STRING
SELECT
  pipeline_logging_id, tenant_id, pipeline_id, user_id, status, trigger_type, trigger_by, run_id, attempt, parameters, started_at, deadline_at,
  completed_at, duration_ms, rows_processed, error_message
FROM x_meta_pipeline_runs
WHERE pipeline_logging_id = @pipeline_logging_id
ORDER BY completed_at DESC
LIMIT 1

-- name: list_step_logs
-- Reads only. A line that was written twice is folded.
-- param: pipeline_logging_id STRING
SELECT
  log_id, tenant_id, user_id, pipeline_logging_id, step_id, step_type, step_index, attempt, action, provider, status, rows_processed, duration_ms,
  error_message, metadata, timestamp
FROM x_meta_step_logs
WHERE pipeline_logging_id = @pipeline_logging_id
QUALIFY ROW_NUMBER() OVER (PARTITION BY log_id ORDER BY timestamp) = 1
ORDER BY timestamp, step_index, log_id

-- name: list_dq_results
-- Reads only. A verdict that was written twice is folded. A tenant's table may be older than sample_rows, which is NULL then.
-- param: pipeline_logging_id STRING
SELECT
  dq_result_id, tenant_id, user_id, pipeline_logging_id, step_id, table_name, check_name, severity, status, observed_value, threshold, failing_rows,
  executed_at, TO_JSON(d).sample_rows AS sample_rows
FROM x_meta_dq_results AS d
WHERE pipeline_logging_id = @pipeline_logging_id
QUALIFY ROW_NUMBER() OVER (PARTITION BY dq_result_id ORDER BY executed_at) = 1
ORDER BY executed_at

-- name: insert_step_logs
-- For a table too young to be streamed to; lines of several runs share a statement. Replayed, it writes the lines again with the same
-- log_ids, and readers fold them.
-- param: logs ARRAY<STRUCT<log_id STRING, tenant_id STRING, user_id STRING, pipeline_logging_id STRING, step_id STRING, step_type STRING, step_index INT64, attempt INT64, action STRING, provider STRING, status STRING, rows_processed INT64, duration_ms INT64, error_message STRING, metadata STRING, timestamp TIMESTAMP>>
INSERT INTO x_meta_step_logs (
  log_id, tenant_id, user_id, pipeline_logging_id, step_id, step_type, step_index, attempt, action, provider, status, rows_processed, duration_ms,
  error_message, metadata, timestamp
)
SELECT
  l.log_id, l.tenant_id, l.user_id, l.pipeline_logging_id, l.step_id, l.step_type, l.step_index, l.attempt, l.action, l.provider, l.status,
  l.rows_processed, l.duration_ms, l.error_message, PARSE_JSON(l.metadata), l.timestamp
FROM UNNEST(@logs) AS l

-- name: insert_dq_results
-- For a table too young to be streamed to. Replayed, it writes the verdicts again with the same ids, and readers fold them.
-- param: results ARRAY<STRUCT<dq_result_id STRING, tenant_id STRING, user_id STRING, pipeline_logging_id STRING, step_id STRING, table_name STRING, check_name STRING, severity STRING, status STRING, observed_value STRING, threshold STRING, failing_rows INT64, executed_at TIMESTAMP, sample_rows STRING>>
INSERT INTO x_meta_dq_results (
  dq_result_id, tenant_id, user_id, pipeline_logging_id, step_id, table_name, check_name, severity, status, observed_value, threshold, failing_rows,
  executed_at, sample_rows
)
SELECT
  d.dq_result_id, d.tenant_id, d.user_id, d.pipeline_logging_id, d.step_id, d.table_name, d.check_name, d.severity, d.status, d.observed_value,
  d.threshold, d.failing_rows, d.executed_at, PARSE_JSON(d.sample_rows)
FROM UNNEST(@results) AS d
