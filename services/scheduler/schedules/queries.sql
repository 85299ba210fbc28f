-- Schedules: what tenants create, change and delete; and backfills.

-- name: insert_schedule
-- A tenant has at most @max_schedules, however many calls create schedules at once. The UPDATE changes rows that two creations of a tenant
-- share, so BigQuery cancels one of them, and its retry counts what the other has inserted. Only a tenant without a schedule has no shared
-- row: then too many may be inserted, or one id twice. The final counts show this, and `drop_surplus_schedule` deletes the surplus.
-- A replay changes nothing: the id exists. Of two calls with one idempotency key, the second finds the id, and the row says which request
-- created it. `is_offboarded`, here and below, is read after the insertion, see ../offboarding.
-- param: config_id STRING
-- param: tenant_id STRING
-- param: provider STRING
-- param: domain STRING
-- param: pipeline_template STRING
-- param: schedule_cron STRING
-- param: timezone STRING
-- param: is_active BOOL
-- param: priority INT64
-- param: parameters JSON
-- param: max_retries INT64
-- param: catch_up STRING
-- param: next_run_time TIMESTAMP
-- param: created_by_user_id STRING
-- param: created_at TIMESTAMP
-- param: request_sha256 STRING
-- param: created_by_call STRING
-- param: max_schedules INT64
IF (SELECT COUNT(DISTINCT m.config_id) FROM tenant_pipeline_configs AS m WHERE m.tenant_id = @tenant_id) < @max_schedules THEN
  BEGIN TRANSACTION;
  UPDATE tenant_pipeline_configs SET updated_at = updated_at WHERE tenant_id = @tenant_id;
  INSERT INTO tenant_pipeline_configs (
    config_id, tenant_id, provider, domain, pipeline_template, schedule_cron, timezone, is_active, priority, parameters, max_retries,
    catch_up, next_run_time, created_by_user_id, created_at, updated_at, request_sha256, created_by_call
  )
  SELECT
    @config_id, @tenant_id, @provider, @domain, @pipeline_template, @schedule_cron, @timezone, @is_active, @priority, @parameters,
    @max_retries, @catch_up, @next_run_time, @created_by_user_id, @created_at, @created_at, @request_sha256, @created_by_call
  FROM (SELECT 1 AS one) AS always
  WHERE NOT EXISTS (SELECT 1 FROM tenant_pipeline_configs AS c WHERE c.config_id = @config_id)
    AND (SELECT COUNT(DISTINCT n.config_id) FROM tenant_pipeline_configs AS n WHERE n.tenant_id = @tenant_id) < @max_schedules;
  COMMIT TRANSACTION;
END IF;
SELECT
  COUNT(DISTINCT s.config_id) AS schedules,
  COUNTIF(s.config_id = @config_id) AS copies,
  COUNTIF(s.config_id = @config_id AND s.created_by_call = @created_by_call) > 0 AS is_new,
  MAX(IF(s.config_id = @config_id, s.request_sha256, NULL)) AS request_sha256,
  EXISTS (SELECT 1 FROM offboarded_tenants AS o WHERE o.tenant_id = @tenant_id) AS is_offboarded
FROM tenant_pipeline_configs AS s
WHERE s.tenant_id = @tenant_id

-- name: drop_surplus_schedule
-- Deletes the row that a call has just inserted, if its tenant has more than @max_schedules, or if its id has another row. A call sends
-- this if it has inserted a row and then counts too many. Such statements change the same rows, so they run one after the other, and each
-- deletes its own row until there is no surplus. A row whose call was answered stays: the count was not too high when that call counted. A
-- replay finds no surplus, or no such row. If the call's own INSERT was sent twice at the same moment, its two rows are equal, and stay.
-- param: tenant_id STRING
-- param: config_id STRING
-- param: created_by_call STRING
-- param: max_schedules INT64
BEGIN TRANSACTION;
UPDATE tenant_pipeline_configs SET updated_at = updated_at WHERE tenant_id = @tenant_id;
DELETE FROM tenant_pipeline_configs
WHERE tenant_id = @tenant_id AND config_id = @config_id AND created_by_call = @created_by_call
  AND (
    (SELECT COUNT(DISTINCT n.config_id) FROM tenant_pipeline_configs AS n WHERE n.tenant_id = @tenant_id) > @max_schedules
    OR EXISTS (
      SELECT 1 FROM tenant_pipeline_configs AS m
      WHERE m.tenant_id = @tenant_id AND m.config_id = @config_id AND m.created_by_call != @created_by_call
    )
  );
COMMIT TRANSACTION;
SELECT
  COUNT(DISTINCT s.config_id) AS schedules,
  COUNTIF(s.config_id = @config_id) AS copies,
  COUNTIF(s.config_id = @config_id AND s.created_by_call = @created_by_call) > 0 AS is_new,
  MAX(IF(s.config_id = @config_id, s.request_sha256, NULL)) AS request_sha256,
  EXISTS (SELECT 1 FROM offboarded_tenants AS o WHERE o.tenant_id = @tenant_id) AS is_offboarded
FROM tenant_pipeline_configs AS s
WHERE s.tenant_id = @tenant_id

-- name: known_requests
-- Reads only: which of the ids that an idempotency key may mean are schedules, when they were created, and by which request. Rows of one id
-- are folded.
-- param: tenant_id STRING
-- param: config_ids ARRAY<STRING>
SELECT c.config_id, MIN(c.created_at) AS created_at, MAX(c.request_sha256) AS request_sha256
FROM tenant_pipeline_configs AS c
WHERE c.tenant_id = @tenant_id AND c.config_id IN UNNEST(@config_ids)
GROUP BY c.config_id

-- name: get_schedule
-- Reads only. Of several rows of one id, the one that was changed last, as in list_schedules.
-- param: tenant_id STRING
-- param: config_id STRING
SELECT
  c.config_id, c.tenant_id, c.provider, c.domain, c.pipeline_template, c.schedule_cron, c.timezone, c.is_active, c.priority, c.parameters,
  c.max_retries, c.catch_up, c.next_run_time, c.last_run_time, c.last_run_status, c.created_by_user_id, c.created_at, c.updated_at
FROM tenant_pipeline_configs AS c
WHERE c.tenant_id = @tenant_id AND c.config_id = @config_id
ORDER BY c.updated_at DESC
LIMIT 1

-- name: list_schedules
-- Reads only. Rows of one id are folded. Pages are cut by key, not by offset, so that a new schedule shifts nothing. The key orders by
-- pipeline, then by config_id: a tab sorts before every character of a name.
-- param: tenant_id STRING
-- param: after_key STRING
-- param: row_limit INT64
SELECT
  k.config_id, k.tenant_id, k.provider, k.domain, k.pipeline_template, k.schedule_cron, k.timezone, k.is_active, k.priority, k.parameters,
  k.max_retries, k.catch_up, k.next_run_time, k.last_run_time, k.last_run_status, k.created_by_user_id, k.created_at, k.updated_at, k.page_key
FROM (
  SELECT
    c.config_id, c.tenant_id, c.provider, c.domain, c.pipeline_template, c.schedule_cron, c.timezone, c.is_active, c.priority, c.parameters,
    c.max_retries, c.catch_up, c.next_run_time, c.last_run_time, c.last_run_status, c.created_by_user_id, c.created_at, c.updated_at,
    CONCAT(
      LOWER(IFNULL(c.provider, '')), '\t', IFNULL(c.domain, ''), '\t', IFNULL(c.pipeline_template, ''), '\t', c.config_id
    ) AS page_key
  FROM tenant_pipeline_configs AS c
  WHERE c.tenant_id = @tenant_id
  QUALIFY ROW_NUMBER() OVER (PARTITION BY c.config_id ORDER BY c.updated_at DESC) = 1
) AS k
WHERE k.page_key > @after_key
ORDER BY k.page_key
LIMIT @row_limit

-- name: update_schedule
-- NULL leaves a column unchanged, so this UPDATE overwrites neither a trigger's next_run_time nor the end of a run. A new next_run_time was
-- computed from the timing that the caller read. If the timing was changed since, no row is changed, and the caller reads again. A replay
-- after a lost response finds its own change and changes nothing; the caller's second read then finds nothing left to do.
-- param: tenant_id STRING
-- param: config_id STRING
-- param: seen_cron STRING
-- param: seen_timezone STRING
-- param: seen_is_active BOOL
-- param: schedule_cron STRING
-- param: timezone STRING
-- param: is_active BOOL
-- param: priority INT64
-- param: parameters STRING
-- param: max_retries INT64
-- param: catch_up STRING
-- param: next_run_time TIMESTAMP
-- param: now TIMESTAMP
UPDATE tenant_pipeline_configs SET
  schedule_cron = IFNULL(@schedule_cron, schedule_cron),
  timezone = IFNULL(@timezone, timezone),
  is_active = IFNULL(@is_active, is_active),
  priority = IFNULL(@priority, priority),
  parameters = IFNULL(PARSE_JSON(@parameters), parameters),
  max_retries = IFNULL(@max_retries, max_retries),
  catch_up = IFNULL(@catch_up, catch_up),
  next_run_time = IFNULL(@next_run_time, next_run_time),
  updated_at = @now
WHERE tenant_id = @tenant_id AND config_id = @config_id
  AND IFNULL(schedule_cron, '') = @seen_cron
  AND IFNULL(NULLIF(timezone, ''), 'UTC') = @seen_timezone
  AND IFNULL(is_active, TRUE) = @seen_is_active

-- name: delete_schedule
-- A schedule defines what its runs do, so its queued runs end with it; claimed runs go on. Plain statements, in this order:
--   1. The tenant's other schedules record when a run of the tenant was last claimed. Otherwise a tenant could come first in the queue's
--      turns by deleting a schedule.
--   2. The schedule is deleted, so that no more runs are queued for it.
--   3. Its queued runs become FAILED.
--   4. The rows in the queue of exactly these runs are deleted. A run that was claimed or returned to the queue in between stays there. A
--      claim finds that it has no schedule, and ends it as FAILED with the same text.
-- A replay ends what is left. The fire times of the queued runs bound the partitions that are read, as in ../queue/queries.sql.
-- param: tenant_id STRING
-- param: config_id STRING
-- param: error_message STRING
-- param: now TIMESTAMP
DECLARE gone INT64 DEFAULT 0;
DECLARE first_time, last_time TIMESTAMP;
DECLARE last_claim TIMESTAMP;
SET last_claim = (
  SELECT MAX(s.claimed_at)
  FROM (
    SELECT IFNULL(e.last_claimed_at, e.last_run_time) AS claimed_at FROM tenant_pipeline_configs AS e WHERE e.tenant_id = @tenant_id
    UNION ALL
    SELECT x.processing_started_at FROM pipeline_execution_queue AS x WHERE x.tenant_id = @tenant_id
  ) AS s
);
UPDATE tenant_pipeline_configs AS c SET last_claimed_at = last_claim
WHERE c.tenant_id = @tenant_id AND c.config_id != @config_id AND IFNULL(c.last_claimed_at < last_claim, last_claim IS NOT NULL);
DELETE FROM tenant_pipeline_configs WHERE tenant_id = @tenant_id AND config_id = @config_id;
SET gone = @@row_count;
SET first_time = (SELECT MIN(w.scheduled_time) FROM pipeline_execution_queue AS w WHERE w.config_id = @config_id AND w.state = 'QUEUED');
SET last_time = (SELECT MAX(w.scheduled_time) FROM pipeline_execution_queue AS w WHERE w.config_id = @config_id AND w.state = 'QUEUED');
UPDATE scheduled_pipeline_runs AS r SET state = 'FAILED', error_message = @error_message, completed_at = @now
WHERE r.tenant_id = @tenant_id AND r.config_id = @config_id AND r.scheduled_time BETWEEN first_time AND last_time
  AND r.run_id IN (SELECT q.run_id FROM pipeline_execution_queue AS q WHERE q.config_id = @config_id AND q.state = 'QUEUED');
DELETE FROM pipeline_execution_queue
WHERE tenant_id = @tenant_id AND config_id = @config_id AND state = 'QUEUED'
  AND run_id IN (
    SELECT r.run_id FROM scheduled_pipeline_runs AS r
    WHERE r.tenant_id = @tenant_id AND r.config_id = @config_id AND r.scheduled_time BETWEEN first_time AND last_time
      AND r.state = 'FAILED' AND r.completed_at = @now
  );
SELECT gone

-- name: backfill
-- The UPDATE changes the tenant's schedules only so that two backfills of a tenant run one after the other. Everything else is inserted.
-- scheduled_pipeline_runs keeps its rows and so shows what was queued before. The queue does not keep its rows, so it is filled first. All
-- days or none: nothing is queued if more than @max_queued_runs of the tenant's runs would wait, or if the schedule is gone. A replay
-- changes nothing; it counts the runs of its first execution by @now.
-- param: tenant_id STRING
-- param: config_id STRING
-- param: pipeline_id STRING
-- param: priority INT64
-- param: max_retries INT64
-- param: max_queued_runs INT64
-- param: runs ARRAY<STRUCT<run_id STRING, scheduled_time TIMESTAMP, parameters STRING>>
-- param: first_time TIMESTAMP
-- param: last_time TIMESTAMP
-- param: now TIMESTAMP
DECLARE is_full BOOL DEFAULT FALSE;
BEGIN TRANSACTION;
UPDATE tenant_pipeline_configs SET updated_at = updated_at WHERE tenant_id = @tenant_id;
SET is_full = (
  SELECT COUNT(*) FROM UNNEST(@runs) AS n
  WHERE NOT EXISTS (
    SELECT 1 FROM scheduled_pipeline_runs AS r WHERE r.run_id = n.run_id AND r.scheduled_time BETWEEN @first_time AND @last_time
  )
) > GREATEST(
  0, @max_queued_runs - (SELECT COUNT(*) FROM pipeline_execution_queue AS w WHERE w.tenant_id = @tenant_id AND w.state = 'QUEUED')
);
IF is_full THEN
  ROLLBACK TRANSACTION;
  SET is_full = TRUE;
ELSE
  INSERT INTO pipeline_execution_queue (run_id, config_id, tenant_id, pipeline_id, state, priority, scheduled_time, added_at, attempt)
  SELECT n.run_id, @config_id, @tenant_id, @pipeline_id, 'QUEUED', @priority, n.scheduled_time, @now, 0
  FROM UNNEST(@runs) AS n
  WHERE EXISTS (SELECT 1 FROM tenant_pipeline_configs AS c WHERE c.tenant_id = @tenant_id AND c.config_id = @config_id)
    AND NOT EXISTS (
      SELECT 1 FROM scheduled_pipeline_runs AS r WHERE r.run_id = n.run_id AND r.scheduled_time BETWEEN @first_time AND @last_time
    );
  INSERT INTO scheduled_pipeline_runs (
    run_id, config_id, tenant_id, pipeline_id, state, scheduled_time, priority, parameters, retry_count, max_retries, created_at
  )
  SELECT
    n.run_id, @config_id, @tenant_id, @pipeline_id, 'PENDING', n.scheduled_time, @priority, PARSE_JSON(n.parameters), 0, @max_retries, @now
  FROM UNNEST(@runs) AS n
  WHERE EXISTS (SELECT 1 FROM tenant_pipeline_configs AS c WHERE c.tenant_id = @tenant_id AND c.config_id = @config_id)
    AND NOT EXISTS (
      SELECT 1 FROM scheduled_pipeline_runs AS r WHERE r.run_id = n.run_id AND r.scheduled_time BETWEEN @first_time AND @last_time
    );
  COMMIT TRANSACTION;
END IF;
SELECT
  COUNT(DISTINCT r.run_id) AS known, COUNT(DISTINCT IF(r.created_at = @now, r.run_id, NULL)) AS queued, is_full,
  EXISTS (SELECT 1 FROM offboarded_tenants AS o WHERE o.tenant_id = @tenant_id) AS is_offboarded
FROM scheduled_pipeline_runs AS r
WHERE r.run_id IN (SELECT n.run_id FROM UNNEST(@runs) AS n) AND r.scheduled_time BETWEEN @first_time AND @last_time
