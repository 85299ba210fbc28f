-- The queue: trigger, claim, renew, take over, settle, retry. Tenants' changes of schedules are in ../schedules/queries.sql.
--
-- Every change of a claimed row names its claim: `q.claimed_by = ... AND q.state = 'PROCESSING'`. This condition is the fence: a process
-- that has lost the claim changes nothing.
--
-- No transaction changes rows of the queue (some insert). Claims, renewals and ends change the queue all the time, and BigQuery cancels a
-- transaction whose table a plain statement is changing. So whatever can be written in steps is written in plain statements, which wait for
-- each other. The queue's row is written last: while it exists, the steps are repeated.
--
-- A schedule may have two rows of one id (../schedules/queries.sql, insert_schedule). The one that was changed last counts, as in
-- list_schedules: otherwise its run would be queued twice, and BigQuery refuses an UPDATE with two source rows for one target row.
--
-- `scheduled_pipeline_runs` keeps its rows (see ../retention) and is partitioned by the day of `scheduled_time`. BigQuery prunes partitions
-- if a constant bounds this column, but not if a join does. So every statement that joins the table names the first and the last fire time
-- of its runs. A run's `scheduled_time` never changes, and its queue row has the same one. In a table that was created before the
-- partitions, the bounds change nothing.

-- name: due_schedules
-- Due schedules of tenants that may run now. Two numbers bound what a trigger may queue for a tenant:
--   - `units_left`: what its quota leaves, less the units that queued runs will take. A run that has failed before already has its unit.
--     The `attempt` of a QUEUED row counts the run's failures (NULL: none). Runs of a paused schedule wait until it is resumed, so they
--     take no unit.
--   - `places_left`: what is left of its places in the queue. Runs of a paused schedule take a place.
-- Backfills (priority -100 and below) take neither: they come last in the queue, so a long backfill must not keep a schedule from being
-- queued.
-- Order: tenants take turns, each with its best schedule first, so that ten thousand due schedules of one tenant do not crowd out the
-- others. Schedules beyond what is left come last. NULL `is_active` means active. NULL `next_run_time` means not computed yet.
-- param: now TIMESTAMP
-- param: max_priority INT64
-- param: max_queued_runs INT64
-- param: row_limit INT64
SELECT
  d.config_id, d.tenant_id, d.schedule_cron, d.timezone, d.priority, d.catch_up, d.parameters, d.next_run_time, d.units_left, d.places_left
FROM (
  SELECT
    c.config_id, c.tenant_id, c.schedule_cron, c.timezone, IFNULL(c.priority, 50) AS priority, c.catch_up, c.parameters, c.next_run_time,
    LEAST(IFNULL(c.priority, 50), IFNULL(t.max_priority, @max_priority)) AS counted_priority,
    t.units_left - IFNULL(w.units, 0) AS units_left,
    IFNULL(t.max_queued_runs, @max_queued_runs) - IFNULL(w.places, 0) AS places_left,
    ROW_NUMBER() OVER (PARTITION BY c.tenant_id ORDER BY IFNULL(c.priority, 50) DESC, c.next_run_time, c.config_id) AS turn
  FROM (
    SELECT
      o.config_id, o.tenant_id, o.schedule_cron, o.timezone, o.priority, o.catch_up, o.parameters, o.next_run_time, o.is_active
    FROM tenant_pipeline_configs AS o
    QUALIFY ROW_NUMBER() OVER (PARTITION BY o.config_id ORDER BY o.updated_at DESC) = 1
  ) AS c
  JOIN runnable_tenants AS t ON t.tenant_id = c.tenant_id
  LEFT JOIN (
    SELECT q.tenant_id, COUNTIF(IFNULL(q.attempt, 0) = 0 AND IFNULL(p.is_active, TRUE)) AS units, COUNT(*) AS places
    FROM pipeline_execution_queue AS q
    LEFT JOIN (
      SELECT e.tenant_id, e.config_id, LOGICAL_AND(IFNULL(e.is_active, TRUE)) AS is_active
      FROM tenant_pipeline_configs AS e
      GROUP BY e.tenant_id, e.config_id
    ) AS p ON p.tenant_id = q.tenant_id AND p.config_id = q.config_id
    WHERE q.state = 'QUEUED' AND IFNULL(q.priority, 50) > -100
    GROUP BY q.tenant_id
  ) AS w ON w.tenant_id = c.tenant_id
  WHERE IFNULL(c.is_active, TRUE) AND (c.next_run_time <= @now OR c.next_run_time IS NULL)
) AS d
ORDER BY
  IF(d.turn > LEAST(IFNULL(d.units_left, d.places_left), d.places_left), 1, 0), d.turn, d.counted_priority DESC, d.next_run_time, d.config_id
LIMIT @row_limit

-- name: set_first_fire_times
-- Sets the fire time of schedules that the subscription system wrote without one. A replay changes nothing.
-- param: schedules ARRAY<STRUCT<config_id STRING, next_run_time TIMESTAMP>>
UPDATE tenant_pipeline_configs AS c SET next_run_time = s.next_run_time
FROM UNNEST(@schedules) AS s
WHERE c.config_id = s.config_id AND c.next_run_time IS NULL

-- name: enqueue
-- The first UPDATE is the compare-and-set. Two concurrent triggers change the same rows, so BigQuery cancels one of them, and its retry
-- finds the rows changed. A run is inserted only if its schedule now has the fire time that this trigger has set, and only if the run never
-- existed: `scheduled_pipeline_runs` keeps its rows. So a replay changes nothing and counts nothing. The same is true of a trigger that
-- came second.
-- It is a transaction because a schedule must not advance without its run. It changes the rows of one table only, and changes them first:
-- the UPDATE needs a moment in which no other statement changes this table, and then makes later statements wait. So the transaction is not
-- cancelled at its end.
-- param: firings ARRAY<STRUCT<config_id STRING, seen TIMESTAMP, next_run_time TIMESTAMP>>
-- param: runs ARRAY<STRUCT<run_id STRING, config_id STRING, next_run_time TIMESTAMP, scheduled_time TIMESTAMP>>
-- param: first_time TIMESTAMP
-- param: last_time TIMESTAMP
-- param: now TIMESTAMP
DECLARE triggered INT64 DEFAULT 0;
DECLARE queued INT64 DEFAULT 0;
BEGIN TRANSACTION;
UPDATE tenant_pipeline_configs AS c SET next_run_time = f.next_run_time
FROM UNNEST(@firings) AS f
WHERE c.config_id = f.config_id AND c.next_run_time = f.seen;
SET triggered = @@row_count;
IF triggered = 0 THEN
  ROLLBACK TRANSACTION;
ELSE
  INSERT INTO pipeline_execution_queue (run_id, config_id, tenant_id, pipeline_id, state, priority, scheduled_time, added_at)
  SELECT
    n.run_id, c.config_id, c.tenant_id, CONCAT(LOWER(c.provider), '-', c.domain, '-', c.pipeline_template), 'QUEUED', IFNULL(c.priority, 50),
    n.scheduled_time, @now
  FROM UNNEST(@runs) AS n
  JOIN tenant_pipeline_configs AS c ON c.config_id = n.config_id AND c.next_run_time = n.next_run_time
  WHERE n.run_id NOT IN (SELECT r.run_id FROM scheduled_pipeline_runs AS r WHERE r.scheduled_time BETWEEN @first_time AND @last_time)
  QUALIFY ROW_NUMBER() OVER (PARTITION BY n.run_id ORDER BY c.updated_at DESC) = 1;
  INSERT INTO scheduled_pipeline_runs
    (run_id, config_id, tenant_id, pipeline_id, state, scheduled_time, priority, parameters, retry_count, max_retries, created_at)
  SELECT
    n.run_id, c.config_id, c.tenant_id, CONCAT(LOWER(c.provider), '-', c.domain, '-', c.pipeline_template), 'PENDING', n.scheduled_time,
    IFNULL(c.priority, 50), c.parameters, 0, IFNULL(c.max_retries, 3), @now
  FROM UNNEST(@runs) AS n
  JOIN tenant_pipeline_configs AS c ON c.config_id = n.config_id AND c.next_run_time = n.next_run_time
  WHERE n.run_id NOT IN (SELECT r.run_id FROM scheduled_pipeline_runs AS r WHERE r.scheduled_time BETWEEN @first_time AND @last_time)
  QUALIFY ROW_NUMBER() OVER (PARTITION BY n.run_id ORDER BY c.updated_at DESC) = 1;
  SET queued = @@row_count;
  COMMIT TRANSACTION;
END IF;
SELECT triggered, queued

-- name: look
-- Reads only: what a process-queue call could do. Most calls find nothing to do, and then cost this one statement.
-- `ready` counts the QUEUED runs whose time has come and whose schedule is not paused. It includes runs of tenants that may not run; the
-- claim leaves them out. `ready_since` is the time since which the oldest ready run could have been claimed. The span from `first_time` to
-- `last_time` covers all rows that a claim or a takeover can find. A paused schedule's old runs do not widen it.
-- param: now TIMESTAMP
SELECT
  COUNTIF(q.state = 'QUEUED') AS ready,
  COUNTIF(q.state = 'PROCESSING') AS claimed,
  COUNTIF(q.state = 'PROCESSING' AND (q.lease_expires_at IS NULL OR q.lease_expires_at <= @now)) AS lapsed,
  COUNTIF(q.state = 'PROCESSING' AND q.lease_expires_at IS NULL) AS released,
  MIN(IF(q.state = 'QUEUED', GREATEST(q.added_at, IFNULL(q.not_before, q.added_at)), NULL)) AS ready_since,
  MIN(q.scheduled_time) AS first_time,
  MAX(q.scheduled_time) AS last_time
FROM pipeline_execution_queue AS q
LEFT JOIN (
  SELECT e.tenant_id, e.config_id, LOGICAL_AND(IFNULL(e.is_active, TRUE)) AS is_active
  FROM tenant_pipeline_configs AS e
  GROUP BY e.tenant_id, e.config_id
) AS c ON c.tenant_id = q.tenant_id AND c.config_id = q.config_id
WHERE q.state = 'PROCESSING'
  OR (q.state = 'QUEUED' AND (q.not_before IS NULL OR q.not_before <= @now) AND IFNULL(c.is_active, TRUE))

-- name: claim_runs
-- One guarded UPDATE: two writers of one row wait for each other, and the second finds the row PROCESSING. A replay changes nothing: a
-- claim that has rows takes no more.
-- Which runs may be claimed:
--   - Only runs within the span of `look`: their fire times bound the partitions that are read.
--   - No more runs of a tenant than its concurrent limit leaves, and no more new runs than its daily and monthly limits leave. A run that
--     has failed before has its unit. Claimed runs that have not begun are subtracted from both, because the ledger does not count them
--     yet. Otherwise a run that will be refused could take the turn of a run that can start.
--   - No runs of a paused schedule. They stay QUEUED until the schedule is resumed, and take no turn either.
-- The order:
--   1. The priority that counts, the highest first. It is the run's priority, at most the plan's ceiling, plus one for each boundary of
--      @ageing_seconds on the clock between `added_at` and now. So a run is passed only by runs that were added soon after it. Among runs
--      added between the same two boundaries, the documented priority decides. Backfills (-100 and below) do not age.
--   2. Among equal priorities, tenants take turns: first one run of each tenant, then a second run of each. Within a turn, the tenant whose
--      last claim is oldest comes first. So a thousand runs of one tenant do not delay another tenant's single run, even if each call
--      claims only one run. For runs that have ended, `last_claimed_at` of their schedule keeps the time of the claim. The time of their
--      end does not count: a tenant would lose its turn each time one of its runs ends. A schedule's row from before `last_claimed_at` has
--      only the time of the end.
--   3. The fire time.
-- `queue_position` counts by the same order.
-- The SELECT returns the rows of the claim, as claimed_runs does, and `is_new`: no process has started the run before. Such a run is still
-- in the queue as its trigger inserted it. It was never put back, because put_back sets `not_before`.
-- param: claimed_by STRING
-- param: max_runs INT64
-- param: max_priority INT64
-- param: ageing_seconds INT64
-- param: first_time TIMESTAMP
-- param: last_time TIMESTAMP
-- param: now TIMESTAMP
-- param: lease_expires_at TIMESTAMP
UPDATE pipeline_execution_queue AS q
SET
  state = 'PROCESSING',
  claimed_by = @claimed_by,
  attempt = p.attempt,
  processing_started_at = @now,
  lease_expires_at = @lease_expires_at
FROM (
  SELECT b.run_id, b.attempt
  FROM (
    SELECT
      a.run_id, a.attempt, a.free, a.units, a.counted_priority, a.served_at, a.scheduled_time,
      COUNTIF(a.attempt = 1) OVER (
        PARTITION BY a.tenant_id ORDER BY a.counted_priority DESC, a.scheduled_time, a.run_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS unit,
      ROW_NUMBER() OVER (PARTITION BY a.tenant_id ORDER BY a.counted_priority DESC, a.scheduled_time, a.run_id) AS place,
      ROW_NUMBER() OVER (PARTITION BY a.tenant_id, a.counted_priority ORDER BY a.scheduled_time, a.run_id) AS turn
    FROM (
      SELECT
        w.run_id, w.tenant_id, w.scheduled_time,
        LEAST(IFNULL(w.priority, 50), IFNULL(t.max_priority, @max_priority)) + IF(
          IFNULL(w.priority, 50) > -100,
          IFNULL(
            DIV(UNIX_SECONDS(@now), NULLIF(@ageing_seconds, 0)) - DIV(UNIX_SECONDS(w.added_at), NULLIF(@ageing_seconds, 0)), 0
          ),
          0
        ) AS counted_priority,
        IFNULL(r.retry_count, 0) + 1 AS attempt,
        t.slots_left - IFNULL(y.beginning, 0) AS free,
        t.units_left - IFNULL(y.beginning, 0) AS units,
        GREATEST(IFNULL(UNIX_MICROS(y.claimed_at), 0), IFNULL(UNIX_MICROS(l.claimed_at), 0)) AS served_at
      FROM pipeline_execution_queue AS w
      JOIN runnable_tenants AS t ON t.tenant_id = w.tenant_id
      LEFT JOIN scheduled_pipeline_runs AS r ON r.run_id = w.run_id AND r.scheduled_time BETWEEN @first_time AND @last_time
      LEFT JOIN (
        SELECT
          x.tenant_id, COUNTIF(x.state = 'PROCESSING' AND (s.started_at IS NULL OR s.started_at < x.processing_started_at)) AS beginning,
          MAX(x.processing_started_at) AS claimed_at
        FROM pipeline_execution_queue AS x
        LEFT JOIN scheduled_pipeline_runs AS s ON s.run_id = x.run_id AND s.scheduled_time BETWEEN @first_time AND @last_time
        GROUP BY x.tenant_id
      ) AS y ON y.tenant_id = w.tenant_id
      LEFT JOIN (
        SELECT e.tenant_id, MAX(IFNULL(e.last_claimed_at, e.last_run_time)) AS claimed_at
        FROM tenant_pipeline_configs AS e
        GROUP BY e.tenant_id
      ) AS l ON l.tenant_id = w.tenant_id
      WHERE w.state = 'QUEUED'
        AND w.scheduled_time BETWEEN @first_time AND @last_time
        AND (w.not_before IS NULL OR w.not_before <= @now)
        AND NOT EXISTS (SELECT 1 FROM pipeline_execution_queue AS z WHERE z.claimed_by = @claimed_by)
        AND NOT EXISTS (
          SELECT 1 FROM tenant_pipeline_configs AS c WHERE c.tenant_id = w.tenant_id AND c.config_id = w.config_id AND NOT IFNULL(c.is_active, TRUE)
        )
    ) AS a
  ) AS b
  WHERE (b.free IS NULL OR b.place <= b.free)
    AND (b.units IS NULL OR b.unit <= b.units OR b.attempt > 1)
  ORDER BY b.counted_priority DESC, b.turn, b.served_at, b.scheduled_time, b.run_id
  LIMIT @max_runs
) AS p
WHERE q.run_id = p.run_id AND q.state = 'QUEUED';
SELECT
  q.run_id, q.config_id, q.tenant_id, q.pipeline_id, q.claimed_by, IFNULL(q.attempt, 1) AS attempt, q.scheduled_time,
  IFNULL(r.retry_count, 0) AS retry_count, IFNULL(r.max_retries, 3) AS max_retries, r.parameters,
  c.provider, c.domain, c.pipeline_template,
  IFNULL(q.attempt, 1) = 1 AND q.not_before IS NULL AND IFNULL(q.added_at = r.created_at, FALSE) AS is_new
FROM pipeline_execution_queue AS q
LEFT JOIN scheduled_pipeline_runs AS r ON r.run_id = q.run_id AND r.scheduled_time BETWEEN @first_time AND @last_time
LEFT JOIN tenant_pipeline_configs AS c ON c.config_id = q.config_id
WHERE q.claimed_by = @claimed_by AND q.state = 'PROCESSING'
QUALIFY ROW_NUMBER() OVER (PARTITION BY q.run_id ORDER BY c.updated_at DESC) = 1
ORDER BY q.priority DESC, q.scheduled_time, q.run_id

-- name: take_over
-- Claims runs whose holder let its lease expire, within the span of `look`. The new claim fences off the old holder. Of two concurrent
-- takeovers, the second finds a new lease. A replay also takes runs whose lease has expired since, under the same claim.
-- param: claimed_by STRING
-- param: first_time TIMESTAMP
-- param: last_time TIMESTAMP
-- param: now TIMESTAMP
-- param: lease_expires_at TIMESTAMP
UPDATE pipeline_execution_queue AS q
SET claimed_by = @claimed_by, lease_expires_at = @lease_expires_at
WHERE q.state = 'PROCESSING' AND q.scheduled_time BETWEEN @first_time AND @last_time
  AND (q.lease_expires_at IS NULL OR q.lease_expires_at <= @now)

-- name: claimed_runs
-- The rows of a claim, with everything needed to start them. A deleted schedule leaves `provider` NULL.
-- param: claimed_by STRING
-- param: first_time TIMESTAMP
-- param: last_time TIMESTAMP
SELECT
  q.run_id, q.config_id, q.tenant_id, q.pipeline_id, q.claimed_by, IFNULL(q.attempt, 1) AS attempt, q.scheduled_time,
  IFNULL(r.retry_count, 0) AS retry_count, IFNULL(r.max_retries, 3) AS max_retries, r.parameters,
  c.provider, c.domain, c.pipeline_template
FROM pipeline_execution_queue AS q
LEFT JOIN scheduled_pipeline_runs AS r ON r.run_id = q.run_id AND r.scheduled_time BETWEEN @first_time AND @last_time
LEFT JOIN tenant_pipeline_configs AS c ON c.config_id = q.config_id
WHERE q.claimed_by = @claimed_by AND q.state = 'PROCESSING'
QUALIFY ROW_NUMBER() OVER (PARTITION BY q.run_id ORDER BY c.updated_at DESC) = 1
ORDER BY q.priority DESC, q.scheduled_time, q.run_id

-- name: record_started
-- One statement for all runs that have begun meanwhile. From now on the ledger counts these runs, and claim_runs no longer subtracts them.
-- A replay writes the same.
-- param: started ARRAY<STRUCT<run_id STRING, claimed_by STRING, pipeline_logging_id STRING, started_at TIMESTAMP>>
-- param: first_time TIMESTAMP
-- param: last_time TIMESTAMP
UPDATE scheduled_pipeline_runs AS r SET pipeline_logging_id = b.pipeline_logging_id, started_at = b.started_at
FROM (
  SELECT s.run_id, s.pipeline_logging_id, s.started_at
  FROM UNNEST(@started) AS s
  JOIN pipeline_execution_queue AS q ON q.run_id = s.run_id AND q.claimed_by = s.claimed_by AND q.state = 'PROCESSING'
) AS b
WHERE r.run_id = b.run_id AND r.scheduled_time BETWEEN @first_time AND @last_time

-- name: renew_claims
-- One statement for all claims of a process. A claim that was taken over has another id now, and is not changed.
-- param: claims ARRAY<STRING>
-- param: lease_expires_at TIMESTAMP
UPDATE pipeline_execution_queue AS q SET lease_expires_at = @lease_expires_at
WHERE q.state = 'PROCESSING' AND q.claimed_by IN UNNEST(@claims)

-- name: put_back
-- Refused runs return to the queue with the same priority and the same retries; `attempt` counts the failures again.
-- `processing_started_at` stays, because the claim was the tenant's turn (`claim_runs`). Otherwise a tenant whose runs are refused would
-- come first every time. A replay changes nothing: the row no longer has the claim.
-- param: refusals ARRAY<STRUCT<run_id STRING, claimed_by STRING, not_before TIMESTAMP>>
UPDATE pipeline_execution_queue AS q
SET
  state = 'QUEUED', not_before = f.not_before, attempt = GREATEST(0, IFNULL(q.attempt, 1) - 1),
  claimed_by = NULL, lease_expires_at = NULL
FROM UNNEST(@refusals) AS f
WHERE q.run_id = f.run_id AND q.claimed_by = f.claimed_by AND q.state = 'PROCESSING'

-- name: settle
-- Final ends of runs: steps 5 and 6 of flow 3B for all of them, by one plain statement for each table. Each statement is fenced by the
-- queue row, and the last statement deletes this row. A process that has lost the claim, or a replay, finds no such row and writes nothing.
-- If the script stops before the end, the claim still exists, and its holder or the next one settles it again. The values are the same,
-- because failures are counted by the attempt's number.
-- If several runs of one schedule have ended, the schedule shows the last of the batch: an UPDATE accepts one source row for each target
-- row. An attempt without a record has no id, so the row keeps the id that it has. A COMPLETED run has no error, even if earlier attempts
-- had one.
-- param: ends ARRAY<STRUCT<run_id STRING, claimed_by STRING, config_id STRING, outcome STRING, pipeline_logging_id STRING, error_message STRING, seq INT64>>
-- param: first_time TIMESTAMP
-- param: last_time TIMESTAMP
-- param: now TIMESTAMP
UPDATE tenant_pipeline_configs AS c
SET
  last_run_time = @now,
  last_run_status = b.last_run_status,
  last_claimed_at = GREATEST(b.claimed_at, IFNULL(c.last_claimed_at, b.claimed_at))
FROM (
  SELECT
    e.config_id, IF(e.outcome = 'COMPLETED', 'SUCCESS', 'FAILED') AS last_run_status,
    MAX(IFNULL(q.processing_started_at, @now)) OVER (PARTITION BY e.config_id) AS claimed_at
  FROM UNNEST(@ends) AS e
  JOIN pipeline_execution_queue AS q ON q.run_id = e.run_id AND q.claimed_by = e.claimed_by AND q.state = 'PROCESSING'
  QUALIFY ROW_NUMBER() OVER (PARTITION BY e.config_id ORDER BY e.seq DESC) = 1
) AS b
WHERE c.config_id = b.config_id;
UPDATE scheduled_pipeline_runs AS r
SET
  state = b.outcome,
  retry_count = IF(b.outcome = 'COMPLETED', IFNULL(r.retry_count, 0), b.attempt),
  error_message = b.error_message,
  pipeline_logging_id = IFNULL(b.pipeline_logging_id, r.pipeline_logging_id),
  completed_at = @now
FROM (
  SELECT e.run_id, e.outcome, e.error_message, e.pipeline_logging_id, IFNULL(q.attempt, 1) AS attempt
  FROM UNNEST(@ends) AS e
  JOIN pipeline_execution_queue AS q ON q.run_id = e.run_id AND q.claimed_by = e.claimed_by AND q.state = 'PROCESSING'
) AS b
WHERE r.run_id = b.run_id AND r.scheduled_time BETWEEN @first_time AND @last_time;
DELETE FROM pipeline_execution_queue AS q
WHERE q.state = 'PROCESSING'
  AND EXISTS (SELECT 1 FROM UNNEST(@ends) AS e WHERE e.run_id = q.run_id AND e.claimed_by = q.claimed_by);
SELECT TRUE AS done

-- name: requeue
-- FAILED runs that are queued again with lower priority. As `settle`, but the last statement keeps the queue row, lowers its priority and
-- removes its claim. So a repetition does not lower the priority again.
-- param: ends ARRAY<STRUCT<run_id STRING, claimed_by STRING, config_id STRING, pipeline_logging_id STRING, error_message STRING, not_before TIMESTAMP>>
-- param: first_time TIMESTAMP
-- param: last_time TIMESTAMP
-- param: now TIMESTAMP
UPDATE tenant_pipeline_configs AS c
SET
  last_run_time = @now,
  last_run_status = 'FAILED',
  last_claimed_at = GREATEST(b.claimed_at, IFNULL(c.last_claimed_at, b.claimed_at))
FROM (
  SELECT e.config_id, MAX(IFNULL(q.processing_started_at, @now)) AS claimed_at
  FROM UNNEST(@ends) AS e
  JOIN pipeline_execution_queue AS q ON q.run_id = e.run_id AND q.claimed_by = e.claimed_by AND q.state = 'PROCESSING'
  GROUP BY e.config_id
) AS b
WHERE c.config_id = b.config_id;
UPDATE scheduled_pipeline_runs AS r
SET
  state = 'FAILED',
  retry_count = b.attempt,
  error_message = b.error_message,
  pipeline_logging_id = IFNULL(b.pipeline_logging_id, r.pipeline_logging_id),
  completed_at = NULL
FROM (
  SELECT e.run_id, e.error_message, e.pipeline_logging_id, IFNULL(q.attempt, 1) AS attempt
  FROM UNNEST(@ends) AS e
  JOIN pipeline_execution_queue AS q ON q.run_id = e.run_id AND q.claimed_by = e.claimed_by AND q.state = 'PROCESSING'
) AS b
WHERE r.run_id = b.run_id AND r.scheduled_time BETWEEN @first_time AND @last_time;
UPDATE pipeline_execution_queue AS q
SET
  state = 'QUEUED', priority = IFNULL(q.priority, 50) - 1, not_before = e.not_before,
  claimed_by = NULL, lease_expires_at = NULL, processing_started_at = NULL
FROM UNNEST(@ends) AS e
WHERE q.run_id = e.run_id AND q.claimed_by = e.claimed_by AND q.state = 'PROCESSING';
SELECT TRUE AS done

-- name: release_claims
-- A scheduler that stops sets the leases of its claims to NULL. A lease that has expired is not NULL, so the two can be distinguished. A
-- replay writes the same.
-- param: claims ARRAY<STRING>
UPDATE pipeline_execution_queue AS q SET lease_expires_at = NULL
WHERE q.state = 'PROCESSING' AND q.claimed_by IN UNNEST(@claims)

-- name: list_queue
-- Reads only.
-- param: tenant_id STRING
-- param: after TIMESTAMP
-- param: after_id STRING
-- param: row_limit INT64
SELECT
  q.run_id, q.tenant_id, q.config_id, q.pipeline_id, q.state, q.priority, q.scheduled_time, q.added_at, q.not_before, q.processing_started_at
FROM pipeline_execution_queue AS q
WHERE
  (@tenant_id IS NULL OR q.tenant_id = @tenant_id)
  AND (@after IS NULL OR q.added_at > @after OR (q.added_at = @after AND q.run_id > @after_id))
ORDER BY q.added_at, q.run_id
LIMIT @row_limit

-- name: knows_tenant
-- Reads only.
-- param: tenant_id STRING
SELECT p.tenant_id FROM tenant_profiles AS p WHERE p.tenant_id = @tenant_id LIMIT 1

-- name: scheduler_status
-- A schedule is due if its fire time has come and its tenant may run now. Runs of a paused schedule count as queued. They do not count for
-- the longest wait, because they wait for their tenant and not for us.
-- param: now TIMESTAMP
-- param: today TIMESTAMP
SELECT
  (
    SELECT COUNT(DISTINCT c.config_id)
    FROM tenant_pipeline_configs AS c
    JOIN runnable_tenants AS t ON t.tenant_id = c.tenant_id
    WHERE IFNULL(c.is_active, TRUE) AND c.next_run_time <= @now
  ) AS due_count,
  (SELECT COUNT(*) FROM pipeline_execution_queue AS q WHERE q.state = 'QUEUED') AS queued_count,
  (SELECT COUNT(*) FROM pipeline_execution_queue AS p WHERE p.state = 'PROCESSING') AS processing_count,
  (SELECT COUNT(*) FROM scheduled_pipeline_runs AS r WHERE r.state = 'FAILED' AND r.completed_at >= @today) AS failed_today_count,
  (
    SELECT MIN(o.scheduled_time)
    FROM pipeline_execution_queue AS o
    LEFT JOIN tenant_pipeline_configs AS d ON d.tenant_id = o.tenant_id AND d.config_id = o.config_id
    WHERE o.state = 'QUEUED' AND IFNULL(d.is_active, TRUE)
  ) AS oldest_queued_time

-- name: list_scheduled_runs
-- Pages are cut by key, not by offset, so that a new run shifts nothing. `settle` writes a run's end in steps, the queue row last. Until
-- all are written, the run is shown as PENDING: a run that is shown as ended is complete.
-- param: tenant_id STRING
-- param: state STRING
-- param: config_id STRING
-- param: before TIMESTAMP
-- param: before_id STRING
-- param: row_limit INT64
SELECT
  r.run_id, r.config_id, r.tenant_id, r.pipeline_id,
  IF(q.state = 'PROCESSING' AND (r.state = 'COMPLETED' OR IFNULL(q.attempt, 1) <= IFNULL(r.retry_count, 0)), 'PENDING', r.state) AS state,
  q.state AS queue_state, r.scheduled_time,
  COALESCE(q.priority, r.priority, 50) AS priority, r.parameters, r.pipeline_logging_id, IFNULL(r.retry_count, 0) AS retry_count,
  IFNULL(r.max_retries, 3) AS max_retries, r.error_message, r.created_at, r.started_at, r.completed_at, q.not_before, q.added_at
FROM scheduled_pipeline_runs AS r
LEFT JOIN pipeline_execution_queue AS q ON q.run_id = r.run_id
WHERE r.tenant_id = @tenant_id
  AND (
    @state IS NULL
    OR IF(q.state = 'PROCESSING' AND (r.state = 'COMPLETED' OR IFNULL(q.attempt, 1) <= IFNULL(r.retry_count, 0)), 'PENDING', r.state) = @state
  )
  AND (@config_id IS NULL OR r.config_id = @config_id)
  AND (@before IS NULL OR r.scheduled_time < @before OR (r.scheduled_time = @before AND r.run_id > @before_id))
ORDER BY r.scheduled_time DESC, r.run_id
LIMIT @row_limit

-- name: get_scheduled_run
-- param: tenant_id STRING
-- param: run_id STRING
SELECT
  r.run_id, r.config_id, r.tenant_id, r.pipeline_id,
  IF(q.state = 'PROCESSING' AND (r.state = 'COMPLETED' OR IFNULL(q.attempt, 1) <= IFNULL(r.retry_count, 0)), 'PENDING', r.state) AS state,
  q.state AS queue_state, r.scheduled_time,
  COALESCE(q.priority, r.priority, 50) AS priority, r.parameters, r.pipeline_logging_id, IFNULL(r.retry_count, 0) AS retry_count,
  IFNULL(r.max_retries, 3) AS max_retries, r.error_message, r.created_at, r.started_at, r.completed_at, q.not_before, q.added_at
FROM scheduled_pipeline_runs AS r
LEFT JOIN pipeline_execution_queue AS q ON q.run_id = r.run_id
WHERE r.tenant_id = @tenant_id AND r.run_id = @run_id
LIMIT 1

-- name: queue_position
-- What a queued run waits for. Whether it has started is in the run's own row, which the caller also reads. `runs_before` counts the runs
-- that a claim would take first, by the order of claim_runs, of tenants whose limits leave room for them. It is 0 for a run that is not
-- ready. The `attempt` of a QUEUED row counts the run's failures, so `scheduled_pipeline_runs` need not be read.
-- param: tenant_id STRING
-- param: run_id STRING
-- param: max_priority INT64
-- param: ageing_seconds INT64
-- param: now TIMESTAMP
SELECT
  q.state AS queue_state, q.not_before, q.processing_started_at, q.schedule_paused,
  t.tenant_id IS NOT NULL AS tenant_runnable, t.units_left, t.slots_left, IFNULL(k.runs_before, 0) AS runs_before
FROM (
  SELECT
    m.run_id, m.tenant_id, m.state, m.not_before, m.processing_started_at,
    EXISTS (
      SELECT 1 FROM tenant_pipeline_configs AS c WHERE c.tenant_id = m.tenant_id AND c.config_id = m.config_id AND NOT IFNULL(c.is_active, TRUE)
    ) AS schedule_paused
  FROM pipeline_execution_queue AS m
  WHERE m.tenant_id = @tenant_id AND m.run_id = @run_id
) AS q
LEFT JOIN runnable_tenants AS t ON t.tenant_id = q.tenant_id
LEFT JOIN (
  SELECT b.run_id, ROW_NUMBER() OVER (ORDER BY b.counted_priority DESC, b.turn, b.served_at, b.scheduled_time, b.run_id) - 1 AS runs_before
  FROM (
    SELECT
      a.run_id, a.failures, a.free, a.units, a.counted_priority, a.served_at, a.scheduled_time,
      COUNTIF(a.failures = 0) OVER (
        PARTITION BY a.tenant_id ORDER BY a.counted_priority DESC, a.scheduled_time, a.run_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      ) AS unit,
      ROW_NUMBER() OVER (PARTITION BY a.tenant_id ORDER BY a.counted_priority DESC, a.scheduled_time, a.run_id) AS place,
      ROW_NUMBER() OVER (PARTITION BY a.tenant_id, a.counted_priority ORDER BY a.scheduled_time, a.run_id) AS turn
    FROM (
      SELECT
        w.run_id, w.tenant_id, w.scheduled_time,
        LEAST(IFNULL(w.priority, 50), IFNULL(u.max_priority, @max_priority)) + IF(
          IFNULL(w.priority, 50) > -100,
          IFNULL(
            DIV(UNIX_SECONDS(@now), NULLIF(@ageing_seconds, 0)) - DIV(UNIX_SECONDS(w.added_at), NULLIF(@ageing_seconds, 0)), 0
          ),
          0
        ) AS counted_priority,
        IFNULL(w.attempt, 0) AS failures,
        u.slots_left AS free,
        u.units_left AS units,
        GREATEST(IFNULL(UNIX_MICROS(y.claimed_at), 0), IFNULL(UNIX_MICROS(l.claimed_at), 0)) AS served_at
      FROM pipeline_execution_queue AS w
      JOIN runnable_tenants AS u ON u.tenant_id = w.tenant_id
      LEFT JOIN (
        SELECT x.tenant_id, MAX(x.processing_started_at) AS claimed_at
        FROM pipeline_execution_queue AS x
        GROUP BY x.tenant_id
      ) AS y ON y.tenant_id = w.tenant_id
      LEFT JOIN (
        SELECT e.tenant_id, MAX(IFNULL(e.last_claimed_at, e.last_run_time)) AS claimed_at
        FROM tenant_pipeline_configs AS e
        GROUP BY e.tenant_id
      ) AS l ON l.tenant_id = w.tenant_id
      WHERE w.state = 'QUEUED'
        AND (w.not_before IS NULL OR w.not_before <= @now)
        AND NOT EXISTS (
          SELECT 1 FROM tenant_pipeline_configs AS d WHERE d.tenant_id = w.tenant_id AND d.config_id = w.config_id AND NOT IFNULL(d.is_active, TRUE)
        )
    ) AS a
  ) AS b
  WHERE b.run_id = @run_id
    OR ((b.free IS NULL OR b.place <= b.free) AND (b.units IS NULL OR b.unit <= b.units OR b.failures > 0))
) AS k ON k.run_id = q.run_id
LIMIT 1

-- name: retry_run
-- The UPDATE from FAILED to PENDING is the compare-and-set: two retries of one run change the same row. A replay changes nothing, because
-- the run is PENDING. `added_at` shows the caller whether this call queued the run. `retry_count` keeps counting: it numbers the attempts,
-- and an attempt's id must never be repeated. `max_retries` grows by what the schedule allows.
-- It is a transaction because a run must not be PENDING without a row in the queue. It changes the rows of one table, and only inserts into
-- the queue. The run's fire time is read first, from three columns, because it bounds the partitions of the other statements.
-- Nothing is queued if @max_queued_runs runs of the tenant already wait. The UPDATE counts them. Two retries at once change the same table,
-- so the second one counts what the first has queued. `is_offboarded` is read after the insertion, see ../offboarding.
-- param: tenant_id STRING
-- param: run_id STRING
-- param: max_queued_runs INT64
-- param: now TIMESTAMP
DECLARE fire_time TIMESTAMP;
SET fire_time = (SELECT MIN(f.scheduled_time) FROM scheduled_pipeline_runs AS f WHERE f.tenant_id = @tenant_id AND f.run_id = @run_id);
BEGIN TRANSACTION;
UPDATE scheduled_pipeline_runs AS r
SET
  state = 'PENDING',
  completed_at = NULL,
  max_retries = IFNULL(r.retry_count, 0) + IFNULL(
    (SELECT MAX(c.max_retries) FROM tenant_pipeline_configs AS c WHERE c.tenant_id = @tenant_id AND c.config_id = r.config_id), 3)
WHERE r.tenant_id = @tenant_id AND r.run_id = @run_id AND r.scheduled_time = fire_time AND r.state = 'FAILED'
  AND NOT EXISTS (SELECT 1 FROM pipeline_execution_queue AS q WHERE q.run_id = @run_id)
  AND (SELECT COUNT(*) FROM pipeline_execution_queue AS w WHERE w.tenant_id = @tenant_id AND w.state = 'QUEUED') < @max_queued_runs;
IF @@row_count = 0 THEN
  ROLLBACK TRANSACTION;
ELSE
  INSERT INTO pipeline_execution_queue (run_id, config_id, tenant_id, pipeline_id, state, priority, scheduled_time, added_at, attempt)
  SELECT r.run_id, r.config_id, r.tenant_id, r.pipeline_id, 'QUEUED', IFNULL(r.priority, 50), r.scheduled_time, @now, IFNULL(r.retry_count, 0)
  FROM scheduled_pipeline_runs AS r
  WHERE r.tenant_id = @tenant_id AND r.run_id = @run_id AND r.scheduled_time = fire_time;
  COMMIT TRANSACTION;
END IF;
SELECT COUNT(*) AS waiting, EXISTS (SELECT 1 FROM offboarded_tenants AS o WHERE o.tenant_id = @tenant_id) AS is_offboarded
FROM pipeline_execution_queue AS v WHERE v.tenant_id = @tenant_id AND v.state = 'QUEUED'
