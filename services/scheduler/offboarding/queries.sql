-- What the scheduler ends of an offboarded tenant.

-- name: stop_tenant
-- Plain statements, each of which may be repeated. First the schedules, so that no run is queued any more: `enqueue` compares
-- `next_run_time`, which is NULL from now on. Then the claims get this call as their holder: what their old holder writes after that changes
-- nothing. No tenant that is closed is claimed for, so the rows that are QUEUED now stay so until they are deleted; only those whose run the
-- statement before has ended, as in `delete_schedule`. A replay counts the same schedules, by @now, but no runs: these are gone. Rows that are
-- left in the queue are of claims, or were queued at this moment.
-- param: tenant_id STRING
-- param: claimed_by STRING
-- param: lease_expires_at TIMESTAMP
-- param: error_message STRING
-- param: now TIMESTAMP
DECLARE dropped INT64 DEFAULT 0;
DECLARE first_time, last_time TIMESTAMP;
UPDATE tenant_pipeline_configs
SET is_active = FALSE, next_run_time = NULL, updated_at = IF(IFNULL(is_active, TRUE), @now, updated_at)
WHERE tenant_id = @tenant_id AND (IFNULL(is_active, TRUE) OR next_run_time IS NOT NULL);
UPDATE pipeline_execution_queue SET claimed_by = @claimed_by, lease_expires_at = @lease_expires_at
WHERE tenant_id = @tenant_id AND state = 'PROCESSING';
SET first_time = (SELECT MIN(w.scheduled_time) FROM pipeline_execution_queue AS w WHERE w.tenant_id = @tenant_id AND w.state = 'QUEUED');
SET last_time = (SELECT MAX(w.scheduled_time) FROM pipeline_execution_queue AS w WHERE w.tenant_id = @tenant_id AND w.state = 'QUEUED');
UPDATE scheduled_pipeline_runs AS r SET state = 'FAILED', error_message = @error_message, completed_at = @now
WHERE r.tenant_id = @tenant_id AND r.scheduled_time BETWEEN first_time AND last_time
  AND r.run_id IN (SELECT q.run_id FROM pipeline_execution_queue AS q WHERE q.tenant_id = @tenant_id AND q.state = 'QUEUED');
DELETE FROM pipeline_execution_queue
WHERE tenant_id = @tenant_id AND state = 'QUEUED'
  AND run_id IN (
    SELECT r.run_id FROM scheduled_pipeline_runs AS r
    WHERE r.tenant_id = @tenant_id AND r.scheduled_time BETWEEN first_time AND last_time AND r.state = 'FAILED' AND r.completed_at = @now
  );
SET dropped = @@row_count;
SELECT
  (
    SELECT COUNT(DISTINCT c.config_id) FROM tenant_pipeline_configs AS c
    WHERE c.tenant_id = @tenant_id AND NOT IFNULL(c.is_active, TRUE) AND c.updated_at = @now
  ) AS schedules_stopped,
  dropped AS runs_dropped,
  (SELECT COUNT(*) FROM pipeline_execution_queue AS v WHERE v.tenant_id = @tenant_id AND v.state = 'QUEUED') AS runs_left,
  (SELECT MIN(x.scheduled_time) FROM pipeline_execution_queue AS x WHERE x.tenant_id = @tenant_id AND x.claimed_by = @claimed_by)
    AS first_claimed,
  (SELECT MAX(y.scheduled_time) FROM pipeline_execution_queue AS y WHERE y.tenant_id = @tenant_id AND y.claimed_by = @claimed_by)
    AS last_claimed

-- name: prove_offboarding
-- A replay inserts nothing: every call has an id of its own.
-- param: offboarding_id STRING
-- param: tenant_id STRING
-- param: offboarded_at TIMESTAMP
-- param: completed_at TIMESTAMP
-- param: dataset STRING
-- param: keys_revoked INT64
-- param: schedules_stopped INT64
-- param: runs_dropped INT64
-- param: runs_cancelled INT64
-- param: credentials_destroyed ARRAY<STRING>
-- param: request_id STRING
-- param: export_uri STRING
-- param: exported ARRAY<STRUCT<table_name STRING, row_count INT64, uri STRING>>
INSERT INTO tenant_offboardings (
  offboarding_id, tenant_id, offboarded_at, completed_at, dataset, keys_revoked, schedules_stopped, runs_dropped, runs_cancelled,
  credentials_destroyed, request_id, export_uri, exported
)
SELECT
  @offboarding_id, @tenant_id, @offboarded_at, @completed_at, @dataset, @keys_revoked, @schedules_stopped, @runs_dropped, @runs_cancelled,
  @credentials_destroyed, @request_id, @export_uri, @exported
FROM (SELECT 1 AS one) AS o
WHERE NOT EXISTS (SELECT 1 FROM tenant_offboardings AS p WHERE p.offboarding_id = @offboarding_id)

-- name: complete_deletions
-- A row that says DELETING was written before its call deleted the dataset; now the dataset is gone. @offboarding_id is the call that has
-- deleted it: those before it broke off, and stay without their end. NULL: it was killed, and nothing else completes its row. A replay finds
-- none.
-- param: tenant_id STRING
-- param: offboarding_id STRING
-- param: now TIMESTAMP
UPDATE tenant_offboardings
SET dataset = 'DELETED', completed_at = IF(@offboarding_id IS NULL OR offboarding_id = @offboarding_id, @now, NULL)
WHERE tenant_id = @tenant_id AND completed_at IS NULL AND (dataset = 'DELETING' OR offboarding_id = @offboarding_id)

-- name: read_proof
-- Reads only. The rows that a migration wrote for tenants of older releases name no dataset, and prove nothing of what is asked for.
-- param: tenant_id STRING
-- param: export_uri STRING
SELECT
  o.offboarded_at, IFNULL(o.keys_revoked, 0) AS keys_revoked, IFNULL(o.schedules_stopped, 0) AS schedules_stopped,
  IFNULL(o.runs_dropped, 0) AS runs_dropped, IFNULL(o.runs_cancelled, 0) AS runs_cancelled, o.credentials_destroyed, o.dataset, o.export_uri,
  o.exported
FROM tenant_offboardings AS o
WHERE o.tenant_id = @tenant_id AND o.dataset IN ('KEPT', 'DELETED', 'ABSENT') AND o.completed_at IS NOT NULL
  AND (@export_uri = '' OR o.export_uri = @export_uri)
ORDER BY o.completed_at DESC, o.offboarding_id
LIMIT 1

-- name: read_exported
-- What a call has exported of a dataset that is deleted by now. Of several the last that was completed: what was exported anew counts.
-- param: tenant_id STRING
-- param: export_uri STRING
SELECT o.exported FROM tenant_offboardings AS o
WHERE o.tenant_id = @tenant_id AND o.export_uri = @export_uri AND ARRAY_LENGTH(o.exported) > 0
ORDER BY o.completed_at DESC NULLS LAST
LIMIT 1
