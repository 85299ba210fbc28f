-- Tenants: profiles and subscriptions. A tenant may have several rows: two processes created it at once, or the subscription system keeps
-- old rows as history. Then the oldest profile and the subscription that was changed last are shown. Every change but `close_tenant` leaves
-- an OFFBOARDED tenant as it is, and so does its replay.

-- name: get_tenant
-- Reads only. A missing status counts as INACTIVE, and a missing subscription as EXPIRED: neither grants anything.
-- param: tenant_id STRING
SELECT
  p.tenant_id, IFNULL(p.company_name, '') AS company_name, IFNULL(p.admin_email, '') AS admin_email, IFNULL(p.status, 'INACTIVE') AS status,
  IFNULL(s.plan_name, '') AS plan_name, IFNULL(s.status, 'EXPIRED') AS subscription_status, s.daily_limit, s.monthly_limit, s.concurrent_limit,
  s.monthly_cost_limit_usd, s.max_priority, s.max_schedules, s.max_queued_runs, s.max_watchers, s.requests_per_minute, s.max_export_bytes,
  p.location, p.located_at, p.created_at, p.updated_at
FROM tenant_profiles AS p
LEFT JOIN (
  SELECT
    a.tenant_id, a.plan_name, a.status, a.daily_limit, a.monthly_limit, a.concurrent_limit, a.monthly_cost_limit_usd, a.max_priority,
    a.max_schedules, a.max_queued_runs, a.max_watchers, a.requests_per_minute, a.max_export_bytes
  FROM tenant_subscriptions AS a
  WHERE a.tenant_id = @tenant_id
  ORDER BY COALESCE(a.updated_at, a.created_at) DESC, a.subscription_id
  LIMIT 1
) AS s ON s.tenant_id = p.tenant_id
WHERE p.tenant_id = @tenant_id
ORDER BY p.created_at
LIMIT 1

-- name: list_tenants
-- Reads only. The tenants of a page are selected first, and everything else is joined to them. Pages are cut by key, not by offset, so that
-- a new tenant shifts nothing. Dates are bounded, so that BigQuery prunes partitions. A day's row has the units of the month up to that
-- day. Executors may have written two rows for the end of one run.
-- param: status STRING
-- param: search STRING
-- param: after STRING
-- param: row_limit INT64
-- param: today DATE
-- param: now TIMESTAMP
-- param: runs_since TIMESTAMP
SELECT
  t.tenant_id, t.company_name, t.admin_email, t.status, IFNULL(s.plan_name, '') AS plan_name, IFNULL(s.status, 'EXPIRED') AS subscription_status,
  s.daily_limit, s.monthly_limit, s.concurrent_limit, s.monthly_cost_limit_usd, s.max_priority, s.max_schedules, s.max_queued_runs,
  s.max_watchers, s.requests_per_minute, s.max_export_bytes, t.location, t.located_at, t.created_at, t.updated_at,
  IFNULL(u.runs_today, 0) AS runs_today, IFNULL(u.runs_month, 0) AS runs_month, IFNULL(u.cost_month_usd, 0.0) AS cost_month_usd,
  IFNULL(k.active_keys, 0) AS active_keys, k.oldest_key_created_at,
  c.completed_at AS last_completed_at, f.completed_at AS last_failed_at, f.error_message AS last_failure,
  f.pipeline_logging_id AS last_failed_run
FROM (
  SELECT
    p.tenant_id, IFNULL(p.company_name, '') AS company_name, IFNULL(p.admin_email, '') AS admin_email,
    IFNULL(p.status, 'INACTIVE') AS status, p.location, p.located_at, p.created_at, p.updated_at
  FROM tenant_profiles AS p
  WHERE p.tenant_id > @after
    AND (@status IS NULL OR IFNULL(p.status, 'INACTIVE') = @status)
    AND (
      @search IS NULL OR STRPOS(LOWER(p.tenant_id), LOWER(@search)) > 0 OR STRPOS(LOWER(IFNULL(p.company_name, '')), LOWER(@search)) > 0
    )
  QUALIFY ROW_NUMBER() OVER (PARTITION BY p.tenant_id ORDER BY p.created_at) = 1
  ORDER BY p.tenant_id
  LIMIT @row_limit
) AS t
LEFT JOIN (
  SELECT
    a.tenant_id, a.plan_name, a.status, a.daily_limit, a.monthly_limit, a.concurrent_limit, a.monthly_cost_limit_usd, a.max_priority,
    a.max_schedules, a.max_queued_runs, a.max_watchers, a.requests_per_minute, a.max_export_bytes
  FROM tenant_subscriptions AS a
  WHERE a.tenant_id > @after
  QUALIFY ROW_NUMBER() OVER (PARTITION BY a.tenant_id ORDER BY COALESCE(a.updated_at, a.created_at) DESC, a.subscription_id) = 1
) AS s ON s.tenant_id = t.tenant_id
LEFT JOIN (
  SELECT
    m.tenant_id, SUM(m.runs_today) AS runs_today, SUM(m.runs_month) AS runs_month, SUM(m.cost_usd) AS cost_month_usd
  FROM (
    SELECT
      d.tenant_id, d.cost_usd, IF(d.usage_date = @today, IFNULL(d.pipelines_run_today, 0), 0) AS runs_today,
      IF(
        ROW_NUMBER() OVER (PARTITION BY d.tenant_id ORDER BY d.usage_date DESC) = 1,
        COALESCE(d.pipelines_run_month, d.pipelines_run_today, 0), 0
      ) AS runs_month
    FROM tenant_usage_quotas AS d
    WHERE d.usage_date >= DATE_TRUNC(@today, MONTH) AND d.usage_date <= @today AND d.tenant_id > @after
  ) AS m
  GROUP BY m.tenant_id
) AS u ON u.tenant_id = t.tenant_id
LEFT JOIN (
  SELECT b.tenant_id, COUNT(DISTINCT b.api_key_id) AS active_keys, MIN(b.created_at) AS oldest_key_created_at
  FROM tenant_api_keys AS b
  WHERE b.tenant_id > @after AND IFNULL(b.is_active, TRUE) AND (b.expires_at IS NULL OR b.expires_at > @now)
  GROUP BY b.tenant_id
) AS k ON k.tenant_id = t.tenant_id
LEFT JOIN (
  SELECT r.tenant_id, MAX(r.completed_at) AS completed_at
  FROM tenant_runs AS r
  WHERE r.started_at >= @runs_since AND r.tenant_id > @after AND r.status = 'COMPLETED'
  GROUP BY r.tenant_id
) AS c ON c.tenant_id = t.tenant_id
LEFT JOIN (
  SELECT e.tenant_id, e.completed_at, e.error_message, e.pipeline_logging_id
  FROM tenant_runs AS e
  WHERE e.started_at >= @runs_since AND e.tenant_id > @after AND e.status = 'FAILED' AND e.completed_at IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY e.tenant_id ORDER BY e.completed_at DESC, e.pipeline_logging_id) = 1
) AS f ON f.tenant_id = t.tenant_id
ORDER BY t.tenant_id

-- name: put_tenant
-- A replay writes the same values again. The inserts are guarded, and their ids are derived from the tenant's id. Two processes that create
-- a tenant at the same instant may leave two rows, which readers fold. `is_mixed`: the rows are of two calls. Then the call is sent again,
-- and changes both: so the later call counts as a whole.
--   - The first UPDATE decides. The later statements change a tenant only if the first one did, which `updated_at` shows.
--   - `close_tenant` and `fix_location` change the same profile, so they run before or after this. After `close_tenant`, nothing here
--     changes anything. After `fix_location`, a call that asks for another location changes nothing.
--   - The last UPDATE sets the new limits in today's row of the ledger, so that they apply from the next run on. It is outside the
--     transaction, because the ledger's writers would cancel the transaction again and again.
--   - While the status stays SUSPENDED, `resumes_as` keeps the status that `resume_tenant` restores.
--   - Without @location, a tenant keeps its location. A location that was fixed before @unmade_before may be changed, because the dataset
--     has not been made since. @unmade_before is NULL if this is not known.
-- param: tenant_id STRING
-- param: company_name STRING
-- param: admin_email STRING
-- param: status STRING
-- param: subscription_id STRING
-- param: plan_name STRING
-- param: subscription_status STRING
-- param: daily_limit INT64
-- param: monthly_limit INT64
-- param: concurrent_limit INT64
-- param: monthly_cost_limit_usd FLOAT64
-- param: max_priority INT64
-- param: max_schedules INT64
-- param: max_queued_runs INT64
-- param: max_watchers INT64
-- param: requests_per_minute INT64
-- param: max_export_bytes INT64
-- param: location STRING
-- param: usual_location STRING
-- param: unmade_before TIMESTAMP
-- param: today DATE
-- param: now TIMESTAMP
BEGIN TRANSACTION;
UPDATE tenant_profiles
SET company_name = @company_name, admin_email = @admin_email, status = @status, updated_at = @now,
  resumes_as = IF(@status = 'SUSPENDED', IF(status = 'SUSPENDED', resumes_as, status), NULL),
  location = IFNULL(@location, location),
  located_at = IF(@location IS NULL OR IFNULL(location, @usual_location) = @location, located_at, NULL)
WHERE tenant_id = @tenant_id AND IFNULL(status, 'INACTIVE') != 'OFFBOARDED'
  AND (
    @location IS NULL OR located_at IS NULL OR IFNULL(location, @usual_location) = @location
    OR (@unmade_before IS NOT NULL AND located_at < @unmade_before)
  );
INSERT INTO tenant_profiles (tenant_id, company_name, admin_email, status, location, created_at, updated_at)
SELECT @tenant_id, @company_name, @admin_email, @status, @location, @now, @now
FROM (SELECT 1 AS one) AS always
WHERE NOT EXISTS (SELECT 1 FROM tenant_profiles AS p WHERE p.tenant_id = @tenant_id);
UPDATE tenant_subscriptions
SET plan_name = @plan_name, status = @subscription_status, updated_at = @now,
  daily_limit = @daily_limit, monthly_limit = @monthly_limit, concurrent_limit = @concurrent_limit,
  monthly_cost_limit_usd = @monthly_cost_limit_usd, max_priority = @max_priority, max_schedules = @max_schedules,
  max_queued_runs = @max_queued_runs, max_watchers = @max_watchers, requests_per_minute = @requests_per_minute,
  max_export_bytes = @max_export_bytes
WHERE tenant_id = @tenant_id
  AND subscription_id = (
    SELECT s.subscription_id FROM tenant_subscriptions AS s WHERE s.tenant_id = @tenant_id
    ORDER BY COALESCE(s.updated_at, s.created_at) DESC, s.subscription_id LIMIT 1
  )
  AND EXISTS (SELECT 1 FROM tenant_profiles AS o WHERE o.tenant_id = @tenant_id AND o.updated_at = @now AND o.status != 'OFFBOARDED');
INSERT INTO tenant_subscriptions (
  subscription_id, tenant_id, plan_name, status, daily_limit, monthly_limit, concurrent_limit, monthly_cost_limit_usd, max_priority,
  max_schedules, max_queued_runs, max_watchers, requests_per_minute, max_export_bytes, created_at, updated_at
)
SELECT
  @subscription_id, @tenant_id, @plan_name, @subscription_status, @daily_limit, @monthly_limit, @concurrent_limit, @monthly_cost_limit_usd,
  @max_priority, @max_schedules, @max_queued_runs, @max_watchers, @requests_per_minute, @max_export_bytes, @now, @now
FROM (SELECT 1 AS one) AS always
WHERE NOT EXISTS (SELECT 1 FROM tenant_subscriptions AS s WHERE s.tenant_id = @tenant_id)
  AND EXISTS (SELECT 1 FROM tenant_profiles AS o WHERE o.tenant_id = @tenant_id AND o.updated_at = @now AND o.status != 'OFFBOARDED');
COMMIT TRANSACTION;
UPDATE tenant_usage_quotas
SET daily_limit = @daily_limit, monthly_limit = @monthly_limit, concurrent_limit = @concurrent_limit, last_updated = @now
WHERE tenant_id = @tenant_id AND usage_date = @today
  AND EXISTS (SELECT 1 FROM tenant_profiles AS o WHERE o.tenant_id = @tenant_id AND o.updated_at = @now AND o.status != 'OFFBOARDED');
SELECT
  IFNULL(LOGICAL_OR(p.status = 'OFFBOARDED'), FALSE) AS is_offboarded, COUNT(DISTINCT p.updated_at) > 1 AS is_mixed,
  MIN(p.created_at) AS created_at,
  ARRAY_AGG(STRUCT(p.location AS location) ORDER BY p.created_at LIMIT 1)[SAFE_OFFSET(0)].location AS location
FROM tenant_profiles AS p
WHERE p.tenant_id = @tenant_id

-- name: fix_location
-- A replay or a later call keeps the fixed location, and records that the dataset may be made about now. `put_tenant` changes the same
-- profile, so one of the two comes first.
-- param: tenant_id STRING
-- param: usual_location STRING
-- param: now TIMESTAMP
UPDATE tenant_profiles SET location = IFNULL(location, @usual_location), located_at = @now
WHERE tenant_id = @tenant_id AND (located_at IS NULL OR located_at < @now);
SELECT p.location FROM tenant_profiles AS p WHERE p.tenant_id = @tenant_id ORDER BY p.created_at LIMIT 1

-- name: suspend_tenant
-- Compare-and-set, so that a replay keeps the status to which the tenant returns.
-- param: tenant_id STRING
-- param: now TIMESTAMP
UPDATE tenant_profiles SET resumes_as = status, status = 'SUSPENDED', updated_at = @now
WHERE tenant_id = @tenant_id AND IFNULL(status, 'INACTIVE') NOT IN ('SUSPENDED', 'OFFBOARDED')

-- name: resume_tenant
-- Compare-and-set. A tenant that was provisioned as SUSPENDED, or suspended by a release before `resumes_as`, becomes ACTIVE.
-- param: tenant_id STRING
-- param: now TIMESTAMP
UPDATE tenant_profiles SET status = IFNULL(resumes_as, 'ACTIVE'), resumes_as = NULL, updated_at = @now
WHERE tenant_id = @tenant_id AND status = 'SUSPENDED'

-- name: close_tenant
-- First the profile is changed: from then on every look-up of the tenant's keys finds none (`find_key_holders`). Then the subscription,
-- which `reserve` reads. A `reserve` that began before does not see this. So the tenant's row of the ledger is changed next, whatever it
-- holds: one of the two statements waits for the other, and from then on no more runs are admitted. (`open_day` changes the subscription.)
-- Last, each key that works gets this moment as its end. By it, a replay counts what the first try revoked. Each statement may be repeated;
-- a second call changes and counts nothing.
-- param: tenant_id STRING
-- param: now TIMESTAMP
UPDATE tenant_profiles SET status = 'OFFBOARDED', resumes_as = NULL, updated_at = @now
WHERE tenant_id = @tenant_id AND IFNULL(status, 'INACTIVE') != 'OFFBOARDED';
UPDATE tenant_subscriptions SET status = 'CANCELLED', updated_at = @now
WHERE tenant_id = @tenant_id AND IFNULL(status, '') != 'CANCELLED';
UPDATE tenant_usage_quotas SET last_updated = @now WHERE tenant_id = @tenant_id AND usage_date >= DATE_SUB(DATE(@now), INTERVAL 1 DAY);
UPDATE tenant_api_keys
SET is_active = FALSE, expires_at = IF(expires_at IS NULL OR expires_at > @now, @now, expires_at)
WHERE tenant_id = @tenant_id AND IFNULL(is_active, TRUE);
SELECT
  MIN(p.updated_at) AS closed_at,
  (SELECT COUNT(DISTINCT k.api_key_id) FROM tenant_api_keys AS k WHERE k.tenant_id = @tenant_id AND NOT IFNULL(k.is_active, TRUE) AND k.expires_at = @now)
    AS keys_revoked
FROM tenant_profiles AS p
WHERE p.tenant_id = @tenant_id
