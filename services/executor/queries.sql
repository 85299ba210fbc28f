-- Statements of the executor. The default dataset is the tenant's own.

-- name: insert_run
-- Inserts the runs of a tenant that begin at the same moment. A replay changes nothing: the rows of these ids exist. Two replays at the
-- same instant could both insert, because INSERTs do not conflict. Readers fold the rows of one id, and the statement that ends the run
-- changes both.
-- param: runs ARRAY<STRUCT<pipeline_logging_id STRING, tenant_id STRING, pipeline_id STRING, user_id STRING, status STRING, trigger_type STRING, trigger_by STRING, run_id STRING, attempt INT64, parameters STRING, started_at TIMESTAMP, deadline_at TIMESTAMP, claimed_by STRING, trace_id STRING>>
INSERT INTO x_meta_pipeline_runs (
  pipeline_logging_id, tenant_id, pipeline_id, user_id, status, trigger_type, trigger_by, run_id, attempt, parameters, started_at, deadline_at,
  claimed_by, trace_id
)
SELECT
  n.pipeline_logging_id, n.tenant_id, n.pipeline_id, n.user_id, n.status, n.trigger_type, n.trigger_by, n.run_id, n.attempt,
  PARSE_JSON(n.parameters), n.started_at, n.deadline_at, n.claimed_by, n.trace_id
FROM UNNEST(@runs) AS n
WHERE NOT EXISTS (SELECT 1 FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = n.pipeline_logging_id)

-- name: claim_run
-- Claims runs that several processes may be asked to start: exactly one process must execute each. Concurrent runs of a tenant share the
-- statement.
--   1. The guarded INSERT may insert twice at the same instant (see insert_run), so it does not claim.
--   2. The UPDATE claims a run if no row of its id is claimed. Two UPDATEs that change the same row run one after the other, and the later
--      one sees the rows of both callers. So one caller gets the claim. A row with a deadline is claimed: `deadline_at` and `claimed_by`
--      are set together, and executors from before `claimed_by` set the deadline alone. If a row of the id is claimed already, the caller's
--      own row gets the same claim: whatever ends the run ends both rows. Otherwise the row would stay RUNNING, and be FAILED a day later.
--   3. The SELECT shows whose claim it is: each caller's `claimed_by` is random. A replay changes nothing and gives the same result.
-- Each statement commits by itself. A job that ends in the middle leaves rows that no process executes, and the reconciler ends them.
-- param: runs ARRAY<STRUCT<pipeline_logging_id STRING, tenant_id STRING, pipeline_id STRING, user_id STRING, trigger_type STRING, trigger_by STRING, run_id STRING, attempt INT64, parameters STRING, started_at TIMESTAMP, deadline_at TIMESTAMP, claimed_by STRING, trace_id STRING>>
INSERT INTO x_meta_pipeline_runs (
  pipeline_logging_id, tenant_id, pipeline_id, user_id, status, trigger_type, trigger_by, run_id, attempt, parameters, started_at
)
SELECT
  n.pipeline_logging_id, n.tenant_id, n.pipeline_id, n.user_id, 'RUNNING', n.trigger_type, n.trigger_by, n.run_id, n.attempt,
  PARSE_JSON(n.parameters), n.started_at
FROM UNNEST(@runs) AS n
WHERE NOT EXISTS (SELECT 1 FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = n.pipeline_logging_id);
UPDATE x_meta_pipeline_runs AS r
SET status = c.status, deadline_at = c.deadline_at, claimed_by = c.claimed_by, trace_id = c.trace_id
FROM (
  SELECT
    n.pipeline_logging_id, IFNULL(d.status, 'RUNNING') AS status, IFNULL(d.deadline_at, n.deadline_at) AS deadline_at,
    IF(d.deadline_at IS NULL, n.claimed_by, d.claimed_by) AS claimed_by, IF(d.deadline_at IS NULL, n.trace_id, d.trace_id) AS trace_id
  FROM UNNEST(@runs) AS n
  LEFT JOIN (
    SELECT
      x.pipeline_logging_id, MIN(x.status) AS status, MAX(x.deadline_at) AS deadline_at, MAX(x.claimed_by) AS claimed_by,
      MAX(x.trace_id) AS trace_id
    FROM x_meta_pipeline_runs AS x
    WHERE x.deadline_at IS NOT NULL AND x.pipeline_logging_id IN (SELECT m.pipeline_logging_id FROM UNNEST(@runs) AS m)
    GROUP BY x.pipeline_logging_id
  ) AS d ON d.pipeline_logging_id = n.pipeline_logging_id
) AS c
WHERE r.pipeline_logging_id = c.pipeline_logging_id AND r.status = 'RUNNING' AND r.deadline_at IS NULL;
SELECT r.pipeline_logging_id, MIN(r.claimed_by) AS claimed_by, MIN(r.status) AS status
FROM x_meta_pipeline_runs AS r
WHERE r.pipeline_logging_id IN (SELECT n.pipeline_logging_id FROM UNNEST(@runs) AS n)
GROUP BY r.pipeline_logging_id;

-- name: overlapping_run
-- Reads only. Finds another active run of the pipeline that covers one of these days. Days are compared as texts, YYYY-MM-DD, which sort
-- correctly. A run whose deadline has passed is not active, whatever its row says.
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
-- As claim_run, but only while no other active run of the pipeline covers one of the days. Two concurrent runs may both be inserted,
-- without a deadline. The UPDATE decides: it also changes the rows of all other RUNNING runs of the pipeline. So two concurrent UPDATEs
-- change a common row and run one after the other, and the later one finds the deadline of the earlier. A run that is not admitted deletes
-- its row, and so does a call whose run another one has claimed under another row. A replay changes nothing once the row is claimed; before
-- that, it decides anew.
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
-- param: trace_id STRING
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
  claimed_by = IF(pipeline_logging_id = @pipeline_logging_id, @claimed_by, claimed_by),
  trace_id = IF(pipeline_logging_id = @pipeline_logging_id, @trace_id, trace_id)
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
DELETE FROM x_meta_pipeline_runs WHERE pipeline_logging_id = @pipeline_logging_id AND status = 'RUNNING' AND deadline_at IS NULL;
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
-- Records a scheduled attempt that could not begin, with an error that another attempt would get, too. Another executor may be claiming the
-- same attempt at this moment, and only one of the two may succeed. So it is done as in claim_run: the row is inserted without a deadline,
-- and the UPDATE ends it if no row of its id is claimed; otherwise it gets the claim that there is. The deadline equals the start: this says
-- the same to executors from before is_final. A replay changes nothing and gives the same result.
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
  pipeline_logging_id, tenant_id, pipeline_id, status, trigger_type, trigger_by, run_id, attempt, parameters, started_at
)
SELECT
  @pipeline_logging_id, @tenant_id, @pipeline_id, 'RUNNING', @trigger_type, @trigger_by, @run_id, @attempt, @parameters, @started_at
FROM (SELECT 1 AS one) AS o
WHERE NOT EXISTS (SELECT 1 FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = @pipeline_logging_id);
UPDATE x_meta_pipeline_runs AS r
SET
  status = IFNULL(d.status, 'FAILED'),
  deadline_at = IFNULL(d.deadline_at, @started_at),
  claimed_by = d.claimed_by,
  completed_at = IF(d.status IS NULL, @started_at, NULL),
  duration_ms = IF(d.status IS NULL, 0, NULL),
  error_message = IF(d.status IS NULL, @error_message, NULL),
  is_final = IF(d.status IS NULL, TRUE, NULL)
FROM (
  SELECT MIN(x.status) AS status, MAX(x.deadline_at) AS deadline_at, MAX(x.claimed_by) AS claimed_by
  FROM x_meta_pipeline_runs AS x
  WHERE x.pipeline_logging_id = @pipeline_logging_id AND x.deadline_at IS NOT NULL
) AS d
WHERE r.pipeline_logging_id = @pipeline_logging_id AND r.status = 'RUNNING' AND r.deadline_at IS NULL;
SELECT EXISTS (
  SELECT 1 FROM x_meta_pipeline_runs AS r
  WHERE r.pipeline_logging_id = @pipeline_logging_id AND r.status = 'FAILED' AND r.completed_at = @started_at
) AS is_refused

-- name: complete_run
-- For a run whose last step is not a publish. Other runs are completed by their publishing transaction
-- (services/executor/steps/run_end_script.py). Compare-and-set: the first call that finds the run RUNNING ends it; later ones change
-- nothing. Unlike end_run, it leaves the fence open.
-- param: pipeline_logging_id STRING
-- param: completed_at TIMESTAMP
-- param: rows_processed INT64
-- param: bytes_billed INT64
-- param: slot_ms INT64
-- param: bytes_read INT64
-- param: cost_usd FLOAT64
UPDATE x_meta_pipeline_runs SET
  status = 'COMPLETED',
  completed_at = @completed_at,
  duration_ms = TIMESTAMP_DIFF(@completed_at, started_at, MILLISECOND),
  rows_processed = @rows_processed,
  bytes_billed = @bytes_billed,
  slot_ms = @slot_ms,
  bytes_read = @bytes_read,
  cost_usd = @cost_usd
WHERE pipeline_logging_id = @pipeline_logging_id AND status = 'RUNNING'

-- name: add_run_costs
-- Adds the costs of runs that their publishing transaction has completed: these are known only afterwards. Compare-and-set: a row that has
-- its cost keeps it, so a replay changes nothing. No caller waits for the cost; until it is written, readers find NULL.
-- param: costs ARRAY<STRUCT<pipeline_logging_id STRING, bytes_billed INT64, slot_ms INT64, bytes_read INT64, cost_usd FLOAT64>>
UPDATE x_meta_pipeline_runs AS r
SET bytes_billed = c.bytes_billed, slot_ms = c.slot_ms, bytes_read = c.bytes_read, cost_usd = c.cost_usd
FROM UNNEST(@costs) AS c
WHERE r.pipeline_logging_id = c.pipeline_logging_id AND r.status = 'COMPLETED' AND r.cost_usd IS NULL

-- name: end_run
-- Ends a run as FAILED or CANCELLED. First the publish fence is closed, then the run's row is changed. So a run that is seen to have ended
-- publishes nothing afterwards (services/executor/steps/publish_script.py). If the publisher has not created the fence row yet, it finds
-- the CLOSED row that is inserted here. If it has, the first UPDATE waits for its transaction or cancels it.
-- Compare-and-set, as complete_run: a replay, or a call for a run that has ended, changes nothing but the cost. Only the executing process
-- knows the cost. If another process has ended the run, the executing process adds the cost to the row, once.
-- param: pipeline_logging_id STRING
-- param: status STRING
-- param: completed_at TIMESTAMP
-- param: error_message STRING
-- param: is_final BOOL
-- param: bytes_billed INT64
-- param: slot_ms INT64
-- param: bytes_read INT64
-- param: cost_usd FLOAT64
INSERT INTO x_meta_publish_fences (pipeline_logging_id, state, updated_at)
SELECT DISTINCT r.pipeline_logging_id, 'CLOSED', @completed_at
FROM x_meta_pipeline_runs AS r
WHERE r.pipeline_logging_id = @pipeline_logging_id AND r.status = 'RUNNING'
  AND NOT EXISTS (SELECT 1 FROM x_meta_publish_fences AS f WHERE f.pipeline_logging_id = @pipeline_logging_id AND f.state = 'CLOSED');
UPDATE x_meta_publish_fences SET state = 'CLOSED', updated_at = @completed_at
WHERE pipeline_logging_id = @pipeline_logging_id AND state = 'OPEN'
  AND EXISTS (SELECT 1 FROM x_meta_pipeline_runs AS r WHERE r.pipeline_logging_id = @pipeline_logging_id AND r.status = 'RUNNING');
UPDATE x_meta_pipeline_runs SET
  status = IF(status = 'RUNNING', @status, status),
  completed_at = IF(status = 'RUNNING', @completed_at, completed_at),
  duration_ms = IF(status = 'RUNNING', TIMESTAMP_DIFF(@completed_at, started_at, MILLISECOND), duration_ms),
  error_message = IF(status = 'RUNNING', @error_message, error_message),
  is_final = IF(status = 'RUNNING', @is_final, is_final),
  bytes_billed = @bytes_billed,
  slot_ms = @slot_ms,
  bytes_read = @bytes_read,
  cost_usd = @cost_usd
WHERE pipeline_logging_id = @pipeline_logging_id AND (status = 'RUNNING' OR (cost_usd IS NULL AND @cost_usd IS NOT NULL));
SELECT
  @pipeline_logging_id AS pipeline_logging_id, MIN(r.status) AS status, MIN(r.pipeline_id) AS pipeline_id, MIN(r.trigger_type) AS trigger_type,
  MIN(r.started_at) AS started_at, MIN(r.completed_at) AS completed_at, MIN(r.error_message) AS error_message, MIN(r.cost_usd) AS cost_usd
FROM x_meta_pipeline_runs AS r
WHERE r.pipeline_logging_id = @pipeline_logging_id

-- name: run_states
-- Reads only. The states of these runs. A run that was never inserted is missing. Of two rows of one id, the ended one counts, because
-- RUNNING sorts last.
-- param: pipeline_logging_ids ARRAY<STRING>
SELECT pipeline_logging_id, MIN(status) AS status, MIN(started_at) AS started_at
FROM x_meta_pipeline_runs
WHERE pipeline_logging_id IN UNNEST(@pipeline_logging_ids)
GROUP BY pipeline_logging_id

-- name: overdue_runs
-- Reads only. A row has no deadline if its claim was interrupted. Then a day counts, which is longer than any run.
-- param: since TIMESTAMP
SELECT DISTINCT pipeline_logging_id
FROM x_meta_pipeline_runs
WHERE status = 'RUNNING' AND COALESCE(deadline_at, TIMESTAMP_ADD(started_at, INTERVAL 1 DAY)) < @since

-- name: running_runs
-- Reads only.
SELECT DISTINCT pipeline_logging_id FROM x_meta_pipeline_runs WHERE status = 'RUNNING'

-- name: run_ends
-- Reads only. For the scheduler: the states of runs, and `is_final` for FAILED ones: whether another attempt would fail, too. It is NULL if
-- an executor from before is_final has ended the run. Of several rows of one id, the ended one counts.
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
-- Reads only. For FAILED runs without is_final (see run_ends): those that another attempt would fail, too. Either the log of the failed
-- step says so, or the run was refused: its deadline equals its start. A run without such a log may be retried: its executor died.
-- param: pipeline_logging_ids ARRAY<STRING>
SELECT l.pipeline_logging_id
FROM x_meta_step_logs AS l
WHERE l.pipeline_logging_id IN UNNEST(@pipeline_logging_ids) AND l.action = 'STEP_FAILED' AND JSON_VALUE(l.metadata, '$.can_heal') = 'false'
UNION DISTINCT
SELECT r.pipeline_logging_id
FROM x_meta_pipeline_runs AS r
WHERE r.pipeline_logging_id IN UNNEST(@pipeline_logging_ids) AND r.deadline_at = r.started_at

-- name: list_runs
-- Reads only. Of several rows of one id, the ended one counts. Pages are cut by key, not by offset, so that a new run shifts nothing.
-- param: status STRING
-- param: pipeline_id STRING
-- param: began_from TIMESTAMP
-- param: began_before TIMESTAMP
-- param: after_started_at TIMESTAMP
-- param: after_id STRING
-- param: row_limit INT64
SELECT
  pipeline_logging_id, tenant_id, pipeline_id, user_id, status, trigger_type, trigger_by, run_id, attempt, parameters, started_at, deadline_at,
  completed_at, duration_ms, rows_processed, error_message, bytes_billed, slot_ms, bytes_read, cost_usd, trace_id
FROM x_meta_pipeline_runs
WHERE (@status IS NULL OR status = @status)
  AND (@pipeline_id IS NULL OR pipeline_id = @pipeline_id)
  AND (@began_from IS NULL OR (started_at >= @began_from AND started_at < @began_before))
  AND (@after_started_at IS NULL OR started_at < @after_started_at OR (started_at = @after_started_at AND pipeline_logging_id > @after_id))
QUALIFY ROW_NUMBER() OVER (PARTITION BY pipeline_logging_id ORDER BY completed_at DESC) = 1
ORDER BY started_at DESC, pipeline_logging_id
LIMIT @row_limit

-- name: get_run
-- Reads only. Of several rows of one id, the ended one counts.
-- param: pipeline_logging_id STRING
SELECT
  pipeline_logging_id, tenant_id, pipeline_id, user_id, status, trigger_type, trigger_by, run_id, attempt, parameters, started_at, deadline_at,
  completed_at, duration_ms, rows_processed, error_message, bytes_billed, slot_ms, bytes_read, cost_usd, trace_id
FROM x_meta_pipeline_runs
WHERE pipeline_logging_id = @pipeline_logging_id
ORDER BY completed_at DESC
LIMIT 1

-- name: list_step_logs
-- Reads only. A row that was written twice is folded.
-- param: pipeline_logging_id STRING
SELECT
  log_id, tenant_id, user_id, pipeline_logging_id, step_id, step_type, step_index, attempt, action, provider, status, rows_processed, duration_ms,
  error_message, metadata, timestamp
FROM x_meta_step_logs
WHERE pipeline_logging_id = @pipeline_logging_id
QUALIFY ROW_NUMBER() OVER (PARTITION BY log_id ORDER BY timestamp) = 1
ORDER BY timestamp, step_index, log_id

-- name: list_dq_results
-- Reads only. A row that was written twice is folded. A tenant's table may lack sample_rows, which is NULL then.
-- param: pipeline_logging_id STRING
SELECT
  dq_result_id, tenant_id, user_id, pipeline_logging_id, step_id, table_name, check_name, severity, status, observed_value, threshold, failing_rows,
  executed_at, TO_JSON(d).sample_rows AS sample_rows
FROM x_meta_dq_results AS d
WHERE pipeline_logging_id = @pipeline_logging_id
QUALIFY ROW_NUMBER() OVER (PARTITION BY dq_result_id ORDER BY executed_at) = 1
ORDER BY executed_at, dq_result_id

-- name: insert_step_logs
-- For a table that is too young for streaming; rows of several runs share a statement. A replay writes the rows again with the same
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
-- For a table that is too young for streaming. A replay writes the rows again with the same ids, and readers fold them.
-- param: results ARRAY<STRUCT<dq_result_id STRING, tenant_id STRING, user_id STRING, pipeline_logging_id STRING, step_id STRING, table_name STRING, check_name STRING, severity STRING, status STRING, observed_value STRING, threshold STRING, failing_rows INT64, executed_at TIMESTAMP, sample_rows STRING>>
INSERT INTO x_meta_dq_results (
  dq_result_id, tenant_id, user_id, pipeline_logging_id, step_id, table_name, check_name, severity, status, observed_value, threshold, failing_rows,
  executed_at, sample_rows
)
SELECT
  d.dq_result_id, d.tenant_id, d.user_id, d.pipeline_logging_id, d.step_id, d.table_name, d.check_name, d.severity, d.status, d.observed_value,
  d.threshold, d.failing_rows, d.executed_at, PARSE_JSON(d.sample_rows)
FROM UNNEST(@results) AS d
