-- Schedules: what tenants create, change and delete; and backfills.

-- name: insert_schedule
-- A replay changes nothing: every schedule has a new id. Two replays at the same instant could both insert: readers fold rows of one id.
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
INSERT INTO tenant_pipeline_configs (
  config_id, tenant_id, provider, domain, pipeline_template, schedule_cron, timezone, is_active, priority, parameters, max_retries, catch_up,
  next_run_time, created_by_user_id, created_at, updated_at
)
SELECT
  @config_id, @tenant_id, @provider, @domain, @pipeline_template, @schedule_cron, @timezone, @is_active, @priority, @parameters, @max_retries,
  @catch_up, @next_run_time, @created_by_user_id, @created_at, @created_at
FROM (SELECT 1 AS one) AS always
WHERE NOT EXISTS (SELECT 1 FROM tenant_pipeline_configs AS c WHERE c.config_id = @config_id)

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
-- Reads only. Rows of one id are folded.
-- param: tenant_id STRING
SELECT
  c.config_id, c.tenant_id, c.provider, c.domain, c.pipeline_template, c.schedule_cron, c.timezone, c.is_active, c.priority, c.parameters,
  c.max_retries, c.catch_up, c.next_run_time, c.last_run_time, c.last_run_status, c.created_by_user_id, c.created_at, c.updated_at
FROM tenant_pipeline_configs AS c
WHERE c.tenant_id = @tenant_id
QUALIFY ROW_NUMBER() OVER (PARTITION BY c.config_id ORDER BY c.updated_at DESC) = 1
ORDER BY LOWER(c.provider), c.domain, c.pipeline_template, c.config_id

-- name: update_schedule
-- NULL leaves a column unchanged, so that this UPDATE overwrites neither a trigger's next_run_time nor the end of a run. A new
-- next_run_time was computed from the timing that was read: if that was changed since, no row is changed, and the caller reads again. A
-- replay after a lost response finds its own change and changes nothing; the second read then finds nothing left to do.
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
-- Queued runs end with their schedule, because it defines what to run; claimed runs go on. Three plain statements: the schedule first, so
-- that no more runs are queued for it; then the runs; then, in the queue, only those that the second statement has ended. A run that was
-- claimed or returned to the queue in between stays there: a claim finds that it has no schedule, and ends it FAILED with the same text. A
-- replay ends what is left. The fire times of what is queued bound the reads of the runs, as in ../queue/queries.sql.
-- param: tenant_id STRING
-- param: config_id STRING
-- param: error_message STRING
-- param: now TIMESTAMP
DECLARE gone INT64 DEFAULT 0;
DECLARE first_time, last_time TIMESTAMP;
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
-- Also updates the schedule's own row, so that two backfills of it run one after the other; the rest is inserted. scheduled_pipeline_runs,
-- which keeps its rows for ever, shows what was queued before; so the queue, whose rows go, is filled first. Nothing is queued for a
-- schedule that is gone. A replay changes nothing, and counts by @now what the first time queued.
-- param: tenant_id STRING
-- param: config_id STRING
-- param: pipeline_id STRING
-- param: priority INT64
-- param: max_retries INT64
-- param: runs ARRAY<STRUCT<run_id STRING, scheduled_time TIMESTAMP, parameters STRING>>
-- param: first_time TIMESTAMP
-- param: last_time TIMESTAMP
-- param: now TIMESTAMP
BEGIN TRANSACTION;
UPDATE tenant_pipeline_configs SET updated_at = updated_at WHERE tenant_id = @tenant_id AND config_id = @config_id;
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
SELECT COUNT(DISTINCT r.run_id) AS known, COUNT(DISTINCT IF(r.created_at = @now, r.run_id, NULL)) AS queued
FROM scheduled_pipeline_runs AS r
WHERE r.run_id IN (SELECT n.run_id FROM UNNEST(@runs) AS n) AND r.scheduled_time BETWEEN @first_time AND @last_time;
