-- Auth's GoogleSQL. Each read is in front of the writes that it serves. Rules that several statements share:
--   - The subscription that counts is the newest ACTIVE one: the subscription system may keep old ones as history.
--   - A row of the subscription system may have a NULL month count. Then today's count is used: the month's is at least as high.
--   - A row of the ledger is inserted closed (`concurrent_pipelines_running` = -1). One plain UPDATE opens it and moves the live runs of
--     past rows into it, see open_day. A closed row grants nothing, and reads treat it as missing.
--   - `live_runs = ARRAY_CONCAT(ARRAY(...))`: in a SET, the emulator reads `column = ARRAY(...)` as a comparison of arrays.

-- name: find_key_holders
-- Finds keys by hash (for API keys) or by id (for session tokens). Keys that the subscription system wrote may have is_active NULL, which
-- means active. A key of an offboarded tenant is not found, even if it was issued while the tenant was being closed.
-- param: api_key_hashes ARRAY<STRING>
-- param: api_key_ids ARRAY<STRING>
-- param: now TIMESTAMP
SELECT
  k.api_key_hash,
  k.tenant_id,
  k.api_key_id,
  k.scopes,
  k.expires_at,
  EXISTS (SELECT 1 FROM tenant_profiles AS p WHERE p.tenant_id = k.tenant_id AND p.status = 'ACTIVE') AS tenant_active,
  s.tenant_id IS NOT NULL AS subscription_active,
  s.max_priority, s.max_schedules, s.max_queued_runs, s.max_watchers, s.requests_per_minute, s.max_export_bytes
FROM tenant_api_keys AS k
LEFT JOIN (
  SELECT
    a.tenant_id, a.max_priority, a.max_schedules, a.max_queued_runs, a.max_watchers, a.requests_per_minute, a.max_export_bytes
  FROM tenant_subscriptions AS a
  WHERE a.status = 'ACTIVE'
  QUALIFY ROW_NUMBER() OVER (PARTITION BY a.tenant_id ORDER BY COALESCE(a.updated_at, a.created_at) DESC, a.subscription_id) = 1
) AS s ON s.tenant_id = k.tenant_id
WHERE (k.api_key_hash IN UNNEST(@api_key_hashes) OR k.api_key_id IN UNNEST(@api_key_ids))
  AND IFNULL(k.is_active, TRUE)
  AND (k.expires_at IS NULL OR k.expires_at > @now)
  AND NOT EXISTS (SELECT 1 FROM tenant_profiles AS o WHERE o.tenant_id = k.tenant_id AND o.status = 'OFFBOARDED')

-- name: list_key_digests
-- One row for all keys: a hundred thousand rows would take long to parse.
-- param: now TIMESTAMP
-- param: row_limit INT64
SELECT STRING_AGG(k.api_key_hash, ',') AS digests
FROM (
  SELECT a.api_key_hash
  FROM tenant_api_keys AS a
  WHERE IFNULL(a.is_active, TRUE) AND (a.expires_at IS NULL OR a.expires_at > @now)
  LIMIT @row_limit
) AS k

-- name: list_api_keys
-- A row of the subscription system may have no created_at; it counts as the oldest. A key whose INSERT was sent twice at the same moment has
-- two equal rows.
-- param: tenant_id STRING
-- param: after_created_at TIMESTAMP
-- param: after_id STRING
-- param: row_limit INT64
SELECT k.api_key_id, k.tenant_id, k.scopes, k.is_active, k.expires_at, k.created_at, k.last_used_at
FROM (
  SELECT
    a.api_key_id, a.tenant_id, a.scopes, IFNULL(a.is_active, TRUE) AS is_active, a.expires_at, a.created_at, a.last_used_at,
    IFNULL(a.created_at, TIMESTAMP_SECONDS(0)) AS page_time
  FROM tenant_api_keys AS a
  WHERE a.tenant_id = @tenant_id
  QUALIFY ROW_NUMBER() OVER (PARTITION BY a.api_key_id ORDER BY a.last_used_at DESC) = 1
) AS k
WHERE @after_created_at IS NULL OR k.page_time < @after_created_at OR (k.page_time = @after_created_at AND k.api_key_id > @after_id)
ORDER BY k.page_time DESC, k.api_key_id
LIMIT @row_limit

-- name: find_api_keys
-- param: tenant_id STRING
-- param: api_key_ids ARRAY<STRING>
SELECT k.api_key_id, k.tenant_id, k.scopes, IFNULL(k.is_active, TRUE) AS is_active, k.expires_at, k.created_at, k.last_used_at
FROM tenant_api_keys AS k
WHERE k.tenant_id = @tenant_id AND k.api_key_id IN UNNEST(@api_key_ids)

-- name: insert_api_key
-- A replay changes nothing: every key has a new id. Two replays at the same moment may both insert it; readers fold the rows of one id, and
-- what changes a key changes both. Inserts nothing for a tenant that does not exist, or that was offboarded.
-- param: api_key_id STRING
-- param: tenant_id STRING
-- param: api_key_hash STRING
-- param: scopes ARRAY<STRING>
-- param: expires_at TIMESTAMP
-- param: now TIMESTAMP
INSERT INTO tenant_api_keys (api_key_id, tenant_id, api_key_hash, is_active, scopes, expires_at, created_at)
SELECT @api_key_id, @tenant_id, @api_key_hash, TRUE, @scopes, @expires_at, @now
FROM (SELECT 1 AS one) AS always
WHERE EXISTS (SELECT 1 FROM tenant_profiles AS p WHERE p.tenant_id = @tenant_id AND IFNULL(p.status, 'INACTIVE') != 'OFFBOARDED')
  AND NOT EXISTS (SELECT 1 FROM tenant_api_keys AS k WHERE k.api_key_id = @api_key_id)

-- name: rotate_api_key
-- Creates a new key with the old one's scopes, and sets an end for the old key. An end is never extended. Does nothing for an inactive key.
-- A replay changes nothing: every rotation has a new id for its key. These are plain statements, because record_key_usage changes this
-- table, too. If the script stops between the two, the old key keeps working, and the next rotation ends it.
-- param: tenant_id STRING
-- param: old_api_key_id STRING
-- param: api_key_id STRING
-- param: api_key_hash STRING
-- param: old_ends_at TIMESTAMP
-- param: expires_at TIMESTAMP
-- param: now TIMESTAMP
INSERT INTO tenant_api_keys (api_key_id, tenant_id, api_key_hash, is_active, scopes, expires_at, created_at)
SELECT @api_key_id, k.tenant_id, @api_key_hash, TRUE, k.scopes, @expires_at, @now
FROM tenant_api_keys AS k
WHERE k.tenant_id = @tenant_id AND k.api_key_id = @old_api_key_id
  AND IFNULL(k.is_active, TRUE) AND (k.expires_at IS NULL OR k.expires_at > @now)
  AND NOT EXISTS (SELECT 1 FROM tenant_api_keys AS n WHERE n.api_key_id = @api_key_id)
LIMIT 1;
UPDATE tenant_api_keys SET expires_at = @old_ends_at
WHERE tenant_id = @tenant_id AND api_key_id = @old_api_key_id
  AND IFNULL(is_active, TRUE) AND (expires_at IS NULL OR expires_at > @old_ends_at);
SELECT TRUE AS done

-- name: record_key_usage
-- One statement for all keys. A replay writes the same; the later of two times is kept.
-- param: used ARRAY<STRUCT<api_key_id STRING, used_at TIMESTAMP>>
UPDATE tenant_api_keys AS k SET last_used_at = u.used_at
FROM UNNEST(@used) AS u
WHERE k.api_key_id = u.api_key_id AND (k.last_used_at IS NULL OR k.last_used_at < u.used_at)

-- name: revoke_api_key
-- A replay changes nothing: a revoked key stays revoked.
-- param: tenant_id STRING
-- param: api_key_id STRING
UPDATE tenant_api_keys SET is_active = FALSE WHERE tenant_id = @tenant_id AND api_key_id = @api_key_id

-- name: read_usage
-- Reads only. Each tenant's row of the ledger for today, and which of @ids hold a reservation. This is the response to reservations. It is
-- not needed if all are known to be granted and no tenant has a limit of cost. A tenant without an open row for today is missing from the
-- result. As in `reserve`, the row of the next day counts once it is open. `services/auth/usage/own_changes.py` needs to know which
-- reservations the row holds.
-- param: tenant_ids ARRAY<STRING>
-- param: ids ARRAY<STRING>
-- param: today DATE
-- param: now TIMESTAMP
SELECT
  q.tenant_id,
  q.usage_date,
  IFNULL(q.pipelines_run_today, 0) AS pipelines_run_today,
  IFNULL(q.pipelines_succeeded_today, 0) AS pipelines_succeeded_today,
  IFNULL(q.pipelines_failed_today, 0) AS pipelines_failed_today,
  COALESCE(q.pipelines_run_month, q.pipelines_run_today, 0) AS pipelines_run_month,
  (SELECT COUNT(*) FROM UNNEST(q.live_runs) AS l WHERE l.lease_expires_at > @now) AS concurrent_pipelines_running,
  COALESCE(q.daily_limit, s.daily_limit) AS daily_limit,
  COALESCE(q.monthly_limit, s.monthly_limit) AS monthly_limit,
  COALESCE(q.concurrent_limit, s.concurrent_limit) AS concurrent_limit,
  IFNULL(m.cost_usd, 0.0) AS cost_usd_month,
  s.monthly_cost_limit_usd,
  s.max_export_bytes,
  s.tenant_id IS NOT NULL AS subscription_active,
  ARRAY(SELECT l.reservation_id FROM UNNEST(q.live_runs) AS l WHERE l.reservation_id IN UNNEST(@ids) AND l.lease_expires_at > @now) AS held,
  q.live_runs,
  q.reservations,
  q.uncosted_runs
FROM tenant_usage_quotas AS q
LEFT JOIN (
  SELECT a.tenant_id, a.daily_limit, a.monthly_limit, a.concurrent_limit, a.monthly_cost_limit_usd, a.max_export_bytes
  FROM tenant_subscriptions AS a
  WHERE a.status = 'ACTIVE'
  QUALIFY ROW_NUMBER() OVER (PARTITION BY a.tenant_id ORDER BY COALESCE(a.updated_at, a.created_at) DESC, a.subscription_id) = 1
) AS s ON s.tenant_id = q.tenant_id
LEFT JOIN (
  SELECT d.tenant_id, SUM(d.cost_usd) AS cost_usd
  FROM tenant_usage_quotas AS d
  WHERE d.usage_date >= DATE_TRUNC(@today, MONTH) AND d.tenant_id IN UNNEST(@tenant_ids)
  GROUP BY d.tenant_id
) AS m ON m.tenant_id = q.tenant_id
WHERE q.usage_date BETWEEN @today AND DATE_ADD(@today, INTERVAL 1 DAY)
  AND q.tenant_id IN UNNEST(@tenant_ids) AND IFNULL(q.concurrent_pipelines_running, 0) >= 0
QUALIFY ROW_NUMBER() OVER (PARTITION BY q.tenant_id ORDER BY q.usage_date DESC) = 1

-- name: open_day
-- Creates today's missing rows, then opens them.
--   1. A transaction inserts the rows, closed. An INSERT conflicts with nothing, so the transaction also updates the tenant's
--      subscriptions. Every process that creates this tenant's row updates them: of two at once, BigQuery cancels one, and its retry finds
--      the row. So a tenant without any subscription, which may run nothing, gets no row: its transactions would not meet. The
--      transaction only appends to the ledger, so other changes of the ledger never cancel it. (The INSERT writes the month's units, too,
--      for releases that open a row without them.)
--   2. One plain UPDATE opens the row with the live runs of the tenant's past rows. If the row before it is of the same month, it also
--      starts with the units of that month.
-- If the UPDATE opens a row, it also changes the row before, whatever that row holds. A `reserve` of that day changes the same row, so one
-- of the two waits for the other. If the reservation is first, it is counted and moved. If it is second, it finds today's row open and is
-- granted there. In the same way, a run that is settled at the same moment does not become live again. A replay finds the row, and moves
-- what is left to move.
-- param: tenant_ids ARRAY<STRING>
-- param: today DATE
-- param: now TIMESTAMP
BEGIN TRANSACTION;
UPDATE tenant_subscriptions SET updated_at = updated_at WHERE tenant_id IN UNNEST(@tenant_ids);
INSERT INTO tenant_usage_quotas (
  tenant_id, usage_date, pipelines_run_today, pipelines_succeeded_today, pipelines_failed_today, pipelines_run_month,
  concurrent_pipelines_running, daily_limit, monthly_limit, concurrent_limit, last_updated, created_at
)
SELECT
  t, @today, 0, 0, 0,
  IF(DATE_TRUNC(p.usage_date, MONTH) = DATE_TRUNC(@today, MONTH), COALESCE(p.pipelines_run_month, p.pipelines_run_today, 0), 0),
  -1, s.daily_limit, s.monthly_limit, s.concurrent_limit, @now, @now
FROM UNNEST(@tenant_ids) AS t
LEFT JOIN (
  SELECT a.tenant_id, a.daily_limit, a.monthly_limit, a.concurrent_limit
  FROM tenant_subscriptions AS a
  WHERE a.status = 'ACTIVE'
  QUALIFY ROW_NUMBER() OVER (PARTITION BY a.tenant_id ORDER BY COALESCE(a.updated_at, a.created_at) DESC, a.subscription_id) = 1
) AS s ON s.tenant_id = t
LEFT JOIN (
  SELECT b.tenant_id, b.usage_date, b.pipelines_run_month, b.pipelines_run_today
  FROM tenant_usage_quotas AS b
  WHERE b.usage_date < @today
  QUALIFY ROW_NUMBER() OVER (PARTITION BY b.tenant_id ORDER BY b.usage_date DESC) = 1
) AS p ON p.tenant_id = t
WHERE t IN (SELECT e.tenant_id FROM tenant_subscriptions AS e)
  AND t NOT IN (SELECT c.tenant_id FROM tenant_usage_quotas AS c WHERE c.usage_date = @today);
COMMIT TRANSACTION;
UPDATE tenant_usage_quotas AS q
SET
  pipelines_run_month = IF(q.usage_date = @today AND q.concurrent_pipelines_running < 0, g.units_month, q.pipelines_run_month),
  live_runs = IF(q.usage_date = @today, ARRAY_CONCAT(IFNULL(q.live_runs, []), IFNULL(g.moved, [])), NULL),
  concurrent_pipelines_running = IF(q.usage_date = @today, IFNULL(ARRAY_LENGTH(q.live_runs), 0) + IFNULL(ARRAY_LENGTH(g.moved), 0), 0),
  last_updated = @now
FROM (
  SELECT
    d.tenant_id, d.opens, d.day_before, d.units_month,
    ARRAY_AGG(
      IF(h.reservation_id IS NULL, NULL, STRUCT(h.reservation_id AS reservation_id, h.lease_expires_at AS lease_expires_at)) IGNORE NULLS
    ) AS moved
  FROM (
    SELECT
      c.tenant_id,
      LOGICAL_OR(IFNULL(c.concurrent_pipelines_running, 0) < 0) AS opens,
      MAX(y.usage_date) AS day_before,
      IFNULL(
        MAX(IF(DATE_TRUNC(y.usage_date, MONTH) = DATE_TRUNC(@today, MONTH), COALESCE(y.pipelines_run_month, y.pipelines_run_today), NULL)), 0
      ) AS units_month
    FROM tenant_usage_quotas AS c
    LEFT JOIN (
      SELECT b.tenant_id, b.usage_date, b.pipelines_run_month, b.pipelines_run_today
      FROM tenant_usage_quotas AS b
      WHERE b.usage_date < @today
      QUALIFY ROW_NUMBER() OVER (PARTITION BY b.tenant_id ORDER BY b.usage_date DESC) = 1
    ) AS y ON y.tenant_id = c.tenant_id
    WHERE c.usage_date = @today AND c.tenant_id IN UNNEST(@tenant_ids)
    GROUP BY c.tenant_id
  ) AS d
  LEFT JOIN (
    SELECT p.tenant_id, l.reservation_id, MAX(l.lease_expires_at) AS lease_expires_at
    FROM tenant_usage_quotas AS p, UNNEST(p.live_runs) AS l
    WHERE p.usage_date < @today
      AND l.reservation_id NOT IN (
        SELECT k.reservation_id FROM tenant_usage_quotas AS x, UNNEST(x.live_runs) AS k
        WHERE x.usage_date = @today AND k.reservation_id IS NOT NULL
      )
    GROUP BY p.tenant_id, l.reservation_id
  ) AS h ON h.tenant_id = d.tenant_id
  GROUP BY d.tenant_id, d.opens, d.day_before, d.units_month
) AS g
WHERE q.tenant_id = g.tenant_id
  AND (
    (q.usage_date = @today AND (q.concurrent_pipelines_running < 0 OR ARRAY_LENGTH(g.moved) > 0))
    OR (q.usage_date < @today AND ARRAY_LENGTH(q.live_runs) > 0)
    OR (g.opens AND q.usage_date = g.day_before)
  )

-- name: reset_day
-- Flow 3C:
--   1. Create today's missing rows as open_day does, in an equally short transaction. A tenant that is no longer ACTIVE gets a row only if
--      it has live runs. The steps after this one are plain statements, which wait for other writers of the ledger and are cancelled by
--      none.
--   2. One UPDATE opens today's rows as open_day does, moves the live runs of past rows into them, and sets the past rows to zero. Settling
--      removes an id from every row. So an id in a past row has not been settled, and no settled run becomes live again. The UPDATE changes
--      only rows that are not zero yet. These are of a day or two, so it does not meet other writers in ninety partitions.
--   3. Delete rows from before @oldest_day.
-- A replay, at any hour, creates no second row and moves nothing twice. It reports every row of a past day as updated, because all are
-- zero. Deleted rows are reported by the call that deleted them.
-- param: today DATE
-- param: now TIMESTAMP
-- param: oldest_day DATE
DECLARE missing ARRAY<STRING>;
DECLARE updated INT64 DEFAULT 0;
DECLARE archived INT64 DEFAULT 0;
SET missing = ARRAY(
  SELECT t.tenant_id
  FROM (
    SELECT f.tenant_id
    FROM tenant_profiles AS f
    WHERE f.status = 'ACTIVE'
      AND f.tenant_id IN (SELECT a.tenant_id FROM tenant_subscriptions AS a WHERE a.status = 'ACTIVE')
    UNION DISTINCT
    SELECT h.tenant_id FROM tenant_usage_quotas AS h WHERE h.usage_date < @today AND ARRAY_LENGTH(h.live_runs) > 0
  ) AS t
  WHERE t.tenant_id NOT IN (SELECT c.tenant_id FROM tenant_usage_quotas AS c WHERE c.usage_date = @today)
);
IF ARRAY_LENGTH(missing) > 0 THEN
  BEGIN TRANSACTION;
  UPDATE tenant_subscriptions SET updated_at = updated_at WHERE tenant_id IN UNNEST(missing);
  INSERT INTO tenant_usage_quotas (
    tenant_id, usage_date, pipelines_run_today, pipelines_succeeded_today, pipelines_failed_today, pipelines_run_month,
    concurrent_pipelines_running, daily_limit, monthly_limit, concurrent_limit, last_updated, created_at
  )
  SELECT
    t, @today, 0, 0, 0,
    IF(DATE_TRUNC(p.usage_date, MONTH) = DATE_TRUNC(@today, MONTH), COALESCE(p.pipelines_run_month, p.pipelines_run_today, 0), 0),
    -1, s.daily_limit, s.monthly_limit, s.concurrent_limit, @now, @now
  FROM UNNEST(missing) AS t
  LEFT JOIN (
    SELECT a.tenant_id, a.daily_limit, a.monthly_limit, a.concurrent_limit
    FROM tenant_subscriptions AS a
    WHERE a.status = 'ACTIVE'
    QUALIFY ROW_NUMBER() OVER (PARTITION BY a.tenant_id ORDER BY COALESCE(a.updated_at, a.created_at) DESC, a.subscription_id) = 1
  ) AS s ON s.tenant_id = t
  LEFT JOIN (
    SELECT b.tenant_id, b.usage_date, b.pipelines_run_month, b.pipelines_run_today
    FROM tenant_usage_quotas AS b
    WHERE b.usage_date < @today
    QUALIFY ROW_NUMBER() OVER (PARTITION BY b.tenant_id ORDER BY b.usage_date DESC) = 1
  ) AS p ON p.tenant_id = t
  WHERE t IN (SELECT e.tenant_id FROM tenant_subscriptions AS e)
    AND t NOT IN (SELECT c.tenant_id FROM tenant_usage_quotas AS c WHERE c.usage_date = @today);
  COMMIT TRANSACTION;
END IF;
UPDATE tenant_usage_quotas AS q
SET
  pipelines_run_today = IF(q.usage_date = @today, q.pipelines_run_today, 0),
  pipelines_run_month = IF(q.usage_date = @today AND q.concurrent_pipelines_running < 0, g.units_month, q.pipelines_run_month),
  pipelines_succeeded_today = IF(q.usage_date = @today, q.pipelines_succeeded_today, 0),
  pipelines_failed_today = IF(q.usage_date = @today, q.pipelines_failed_today, 0),
  live_runs = CASE
    WHEN q.usage_date = @today THEN ARRAY_CONCAT(IFNULL(q.live_runs, []), IFNULL(g.moved, []))
    WHEN g.has_today THEN NULL
    ELSE q.live_runs
  END,
  concurrent_pipelines_running = CASE
    WHEN q.usage_date = @today THEN IFNULL(ARRAY_LENGTH(q.live_runs), 0) + IFNULL(ARRAY_LENGTH(g.moved), 0)
    ELSE 0
  END,
  last_updated = @now
FROM (
  SELECT
    d.tenant_id, d.has_today, d.opens, d.day_before, d.units_month,
    ARRAY_AGG(
      IF(h.reservation_id IS NULL, NULL, STRUCT(h.reservation_id AS reservation_id, h.lease_expires_at AS lease_expires_at)) IGNORE NULLS
    ) AS moved
  FROM (
    SELECT
      c.tenant_id,
      LOGICAL_OR(c.usage_date = @today) AS has_today,
      LOGICAL_OR(c.usage_date = @today AND IFNULL(c.concurrent_pipelines_running, 0) < 0) AS opens,
      MAX(y.usage_date) AS day_before,
      IFNULL(
        MAX(IF(DATE_TRUNC(y.usage_date, MONTH) = DATE_TRUNC(@today, MONTH), COALESCE(y.pipelines_run_month, y.pipelines_run_today), NULL)), 0
      ) AS units_month
    FROM tenant_usage_quotas AS c
    LEFT JOIN (
      SELECT b.tenant_id, b.usage_date, b.pipelines_run_month, b.pipelines_run_today
      FROM tenant_usage_quotas AS b
      WHERE b.usage_date < @today
      QUALIFY ROW_NUMBER() OVER (PARTITION BY b.tenant_id ORDER BY b.usage_date DESC) = 1
    ) AS y ON y.tenant_id = c.tenant_id
    GROUP BY c.tenant_id
  ) AS d
  LEFT JOIN (
    SELECT p.tenant_id, l.reservation_id, MAX(l.lease_expires_at) AS lease_expires_at
    FROM tenant_usage_quotas AS p, UNNEST(p.live_runs) AS l
    WHERE p.usage_date < @today
      AND l.reservation_id NOT IN (
        SELECT k.reservation_id FROM tenant_usage_quotas AS x, UNNEST(x.live_runs) AS k
        WHERE x.usage_date = @today AND k.reservation_id IS NOT NULL
      )
    GROUP BY p.tenant_id, l.reservation_id
  ) AS h ON h.tenant_id = d.tenant_id
  GROUP BY d.tenant_id, d.has_today, d.opens, d.day_before, d.units_month
) AS g
WHERE q.tenant_id = g.tenant_id
  AND (
    (q.usage_date = @today AND (q.concurrent_pipelines_running < 0 OR ARRAY_LENGTH(g.moved) > 0))
    OR (g.opens AND q.usage_date = g.day_before)
    OR (
      q.usage_date < @today
      AND (
        IFNULL(q.pipelines_run_today, -1) != 0 OR IFNULL(q.pipelines_succeeded_today, -1) != 0 OR IFNULL(q.pipelines_failed_today, -1) != 0
        OR IFNULL(q.concurrent_pipelines_running, -1) != 0 OR (g.has_today AND ARRAY_LENGTH(q.live_runs) > 0)
      )
    )
  );
SET updated = (SELECT COUNT(*) FROM tenant_usage_quotas AS u WHERE u.usage_date < @today);
DELETE FROM tenant_usage_quotas WHERE usage_date < @oldest_day;
SET archived = @@row_count;
SELECT updated AS records_updated, archived AS records_archived

-- name: list_leases
-- All reservations: the response to a renewal, to a check and to a search for expired reservations. At midnight `live_runs` move into the
-- new day's row. `reservations` stay in the row of their day.
-- param: since DATE
SELECT v.tenant_id, v.reservation_id, COALESCE(t.usage_date, v.usage_date) AS usage_date, v.lease_expires_at, t.trigger_type
FROM (
  SELECT q.tenant_id, l.reservation_id, MIN(q.usage_date) AS usage_date, MAX(l.lease_expires_at) AS lease_expires_at
  FROM tenant_usage_quotas AS q, UNNEST(q.live_runs) AS l
  WHERE q.usage_date >= @since AND l.lease_expires_at IS NOT NULL
  GROUP BY q.tenant_id, l.reservation_id
) AS v
LEFT JOIN (
  SELECT d.tenant_id, r.reservation_id, MAX(d.usage_date) AS usage_date, MAX(r.trigger_type) AS trigger_type
  FROM tenant_usage_quotas AS d, UNNEST(d.reservations) AS r
  WHERE d.usage_date >= @since
  GROUP BY d.tenant_id, r.reservation_id
) AS t ON t.tenant_id = v.tenant_id AND t.reservation_id = v.reservation_id

-- name: reserve
-- One UPDATE, so two writers cannot grant the same unit: the second waits and reads what the first left.
--   - A replay only extends the lease. An id that is listed takes no second unit. It takes a slot again only if its lease has expired.
--   - Requests of a tenant are served in the order of seq. A request that is refused for its unit takes no slot.
--   - Once the runs of the month have cost as much as the limit allows, only an id that holds a slot is granted. The cost of the month is
--     the sum over its days, because a run counts on the day of its reservation.
--   - A reservation whose lease has expired does not count against the concurrent limit. It stays listed until its run is settled or
--     reserves again.
--   - `reservations` records the units that an id took when it was first granted, and its trigger type.
--   - A tenant's row is changed only if something is granted, so the number of changed rows is the number of tenants with a grant. With
--     @all_or_none a tenant is granted all of its requests or nothing.
--   - The tenant's row of the next day counts once it is open, even if this process's day is not over: by then that row holds the tenant's
--     live runs. Rows of later days do not count: only a clock that is wrong by more than a day creates them.
-- param: ids ARRAY<STRING>
-- param: requests ARRAY<STRUCT<tenant_id STRING, reservation_id STRING, seq INT64, units INT64, trigger_type STRING>>
-- param: today DATE
-- param: now TIMESTAMP
-- param: lease_expires_at TIMESTAMP
-- param: all_or_none BOOL
UPDATE tenant_usage_quotas AS q
SET
  pipelines_run_today = IFNULL(q.pipelines_run_today, 0) + g.units,
  pipelines_run_month = COALESCE(q.pipelines_run_month, q.pipelines_run_today, 0) + g.units,
  concurrent_pipelines_running =
    (SELECT COUNT(*) FROM UNNEST(q.live_runs) AS l WHERE l.reservation_id NOT IN UNNEST(g.ids)) + ARRAY_LENGTH(g.granted),
  live_runs = ARRAY_CONCAT(
    ARRAY(SELECT AS STRUCT l.reservation_id, l.lease_expires_at FROM UNNEST(q.live_runs) AS l WHERE l.reservation_id NOT IN UNNEST(g.ids)),
    g.granted
  ),
  reservations = ARRAY_CONCAT(
    ARRAY(
      SELECT AS STRUCT r.reservation_id, r.units, r.trigger_type FROM UNNEST(q.reservations) AS r
      WHERE r.reservation_id NOT IN UNNEST(IFNULL(g.new_ids, []))
    ),
    IFNULL(g.taken, [])
  ),
  last_updated = @now
FROM (
  SELECT b.tenant_id, MAX(b.usage_date) AS usage_date, SUM(b.units) AS units, ARRAY_AGG(b.reservation_id) AS ids,
    ARRAY_AGG(STRUCT(b.reservation_id AS reservation_id, @lease_expires_at AS lease_expires_at)) AS granted,
    ARRAY_AGG(IF(b.is_new, b.reservation_id, NULL) IGNORE NULLS) AS new_ids,
    ARRAY_AGG(
      IF(b.is_new, STRUCT(b.reservation_id AS reservation_id, b.units AS units, b.trigger_type AS trigger_type), NULL) IGNORE NULLS
    ) AS taken
  FROM (
    SELECT a.tenant_id, a.usage_date, a.reservation_id, a.units, a.trigger_type, a.is_new, a.slots_left, a.asked,
      ROW_NUMBER() OVER (PARTITION BY a.tenant_id ORDER BY a.turn, a.seq) AS slot
    FROM (
      SELECT r.tenant_id, c.usage_date, r.reservation_id, r.seq, r.trigger_type, c.units_left, c.slots_left,
        COUNT(*) OVER (PARTITION BY r.tenant_id) AS asked,
        k.reservation_id IS NULL AS is_new,
        c.may_cost OR IFNULL(k.alive, FALSE) AS may_cost,
        IF(k.reservation_id IS NULL, r.units, 0) AS units,
        -- Ids that hold a slot keep it before any other id gets one.
        IF(IFNULL(k.alive, FALSE), 0, 1) AS turn,
        SUM(IF(k.reservation_id IS NULL, r.units, 0)) OVER (PARTITION BY r.tenant_id ORDER BY r.seq) AS units_so_far
      FROM UNNEST(@requests) AS r
      JOIN (
        SELECT u.tenant_id, u.usage_date,
          LEAST(
            IFNULL(COALESCE(u.daily_limit, s.daily_limit) - IFNULL(u.pipelines_run_today, 0), 1000000000),
            IFNULL(COALESCE(u.monthly_limit, s.monthly_limit) - COALESCE(u.pipelines_run_month, u.pipelines_run_today, 0), 1000000000)
          ) AS units_left,
          IFNULL(
            COALESCE(u.concurrent_limit, s.concurrent_limit)
              - (SELECT COUNT(*) FROM UNNEST(u.live_runs) AS l WHERE l.lease_expires_at > @now AND l.reservation_id NOT IN UNNEST(@ids)),
            1000000000
          ) AS slots_left,
          s.monthly_cost_limit_usd IS NULL OR IFNULL(m.cost_usd, 0.0) < s.monthly_cost_limit_usd AS may_cost
        FROM tenant_usage_quotas AS u
        JOIN (
          SELECT a.tenant_id, a.daily_limit, a.monthly_limit, a.concurrent_limit, a.monthly_cost_limit_usd
          FROM tenant_subscriptions AS a
          WHERE a.status = 'ACTIVE'
          QUALIFY ROW_NUMBER() OVER (PARTITION BY a.tenant_id ORDER BY COALESCE(a.updated_at, a.created_at) DESC, a.subscription_id) = 1
        ) AS s ON s.tenant_id = u.tenant_id
        LEFT JOIN (
          SELECT d.tenant_id, SUM(d.cost_usd) AS cost_usd
          FROM tenant_usage_quotas AS d
          WHERE d.usage_date >= DATE_TRUNC(@today, MONTH)
          GROUP BY d.tenant_id
        ) AS m ON m.tenant_id = u.tenant_id
        WHERE u.usage_date BETWEEN @today AND DATE_ADD(@today, INTERVAL 1 DAY) AND IFNULL(u.concurrent_pipelines_running, 0) >= 0
        QUALIFY ROW_NUMBER() OVER (PARTITION BY u.tenant_id ORDER BY u.usage_date DESC) = 1
      ) AS c ON c.tenant_id = r.tenant_id
      LEFT JOIN (
        SELECT l.reservation_id, MAX(l.lease_expires_at) > @now AS alive
        FROM tenant_usage_quotas AS x, UNNEST(x.live_runs) AS l
        WHERE x.usage_date BETWEEN @today AND DATE_ADD(@today, INTERVAL 1 DAY) AND l.reservation_id IN UNNEST(@ids)
        GROUP BY l.reservation_id
      ) AS k ON k.reservation_id = r.reservation_id
    ) AS a
    WHERE a.may_cost AND (a.units = 0 OR a.units_so_far <= a.units_left)
  ) AS b
  WHERE b.slot <= b.slots_left
  GROUP BY b.tenant_id
  HAVING NOT @all_or_none OR COUNT(*) = MAX(b.asked)
) AS g
WHERE q.tenant_id = g.tenant_id AND q.usage_date = g.usage_date

-- name: renew
-- Extends only leases that have not expired: after that, the slot may have been given to another run. A replay writes the same.
-- param: ids ARRAY<STRING>
-- param: since DATE
-- param: now TIMESTAMP
-- param: lease_expires_at TIMESTAMP
UPDATE tenant_usage_quotas AS q
SET live_runs = ARRAY_CONCAT(ARRAY(
  SELECT AS STRUCT l.reservation_id,
    IF(l.reservation_id IN UNNEST(@ids) AND l.lease_expires_at > @now, @lease_expires_at, l.lease_expires_at) AS lease_expires_at
  FROM UNNEST(q.live_runs) AS l
))
FROM (SELECT 1 AS one) AS always
WHERE q.usage_date >= @since
  AND EXISTS (SELECT 1 FROM UNNEST(q.live_runs) AS l WHERE l.reservation_id IN UNNEST(@ids) AND l.lease_expires_at > @now)

-- name: settle
-- An id counts only while a row still has it, and the same statement removes it from every row. So it is settled once, and a replay changes
-- nothing.
--   - The outcome and the cost count on the day of the reservation.
--   - A run that never started (NOT_STARTED) gives back the units that its reservation took, on the day and in the month in which it took
--     them. They are in `reservations`; a reservation from before that column took one.
--   - `only_if_expired`: a reservation whose lease has been extended meanwhile is left alone. The caller has seen no row of the run, but an
--     executor that stalled may still write the row later. So what the id took stays in `reservations`. If the run ends after all, its
--     units are taken again, in the row of its day and in every later row of that month.
--   - Only the process that executes a run knows its cost, and another process may settle the run first, e.g. for a cancel. The id then
--     moves from live_runs to uncosted_runs. From there the cost is added later, also once.
-- param: settlements ARRAY<STRUCT<tenant_id STRING, reservation_id STRING, usage_date DATE, outcome STRING, only_if_expired BOOL, has_cost BOOL, bytes_billed INT64, bytes_read INT64, slot_ms INT64, cost_usd FLOAT64>>
-- param: ids ARRAY<STRING>
-- param: since DATE
-- param: now TIMESTAMP
UPDATE tenant_usage_quotas AS q
SET
  pipelines_succeeded_today = IFNULL(q.pipelines_succeeded_today, 0) + g.succeeded,
  pipelines_failed_today = IFNULL(q.pipelines_failed_today, 0) + g.failed,
  pipelines_run_today = GREATEST(0, IFNULL(q.pipelines_run_today, 0) - g.given_back_today),
  pipelines_run_month = GREATEST(0, COALESCE(q.pipelines_run_month, q.pipelines_run_today, 0) - g.given_back_month),
  concurrent_pipelines_running = (SELECT COUNT(*) FROM UNNEST(q.live_runs) AS l WHERE l.reservation_id NOT IN UNNEST(g.settled)),
  live_runs = ARRAY_CONCAT(ARRAY(
    SELECT AS STRUCT l.reservation_id, l.lease_expires_at FROM UNNEST(q.live_runs) AS l WHERE l.reservation_id NOT IN UNNEST(g.settled)
  )),
  reservations = ARRAY_CONCAT(ARRAY(
    SELECT AS STRUCT r.reservation_id, r.units, r.trigger_type FROM UNNEST(q.reservations) AS r
    WHERE r.reservation_id NOT IN UNNEST(IFNULL(g.forgotten, []))
  )),
  runs_ended = IFNULL(q.runs_ended, 0) + g.ended,
  bytes_billed = IFNULL(q.bytes_billed, 0) + g.bytes_billed,
  bytes_read = IFNULL(q.bytes_read, 0) + g.bytes_read,
  slot_ms = IFNULL(q.slot_ms, 0) + g.slot_ms,
  cost_usd = IFNULL(q.cost_usd, 0.0) + g.cost_usd,
  uncosted_runs = ARRAY_CONCAT(
    ARRAY(SELECT u FROM UNNEST(q.uncosted_runs) AS u WHERE u NOT IN UNNEST(IFNULL(g.costed, []))),
    IFNULL(g.uncosted, [])
  ),
  last_updated = @now
FROM (
  SELECT c.tenant_id, c.usage_date,
    COUNTIF(c.is_counted AND c.is_its_day AND c.outcome = 'COMPLETED') AS succeeded,
    COUNTIF(c.is_counted AND c.is_its_day AND c.outcome = 'FAILED') AS failed,
    SUM(IF(c.usage_date = c.counted_on, c.units_back, 0)) AS given_back_today,
    SUM(IF(DATE_TRUNC(c.usage_date, MONTH) = DATE_TRUNC(c.counted_on, MONTH), c.units_back, 0)) AS given_back_month,
    COUNTIF(c.is_counted AND c.is_its_day) AS ended,
    SUM(IF(c.is_costed, c.bytes_billed, 0)) AS bytes_billed,
    SUM(IF(c.is_costed, c.bytes_read, 0)) AS bytes_read,
    SUM(IF(c.is_costed, c.slot_ms, 0)) AS slot_ms,
    SUM(IF(c.is_costed, c.cost_usd, 0.0)) AS cost_usd,
    ARRAY_AGG(c.reservation_id) AS settled,
    ARRAY_AGG(IF(c.is_costed, c.reservation_id, NULL) IGNORE NULLS) AS costed,
    ARRAY_AGG(IF(c.may_start, NULL, c.reservation_id) IGNORE NULLS) AS forgotten,
    ARRAY_AGG(IF(c.is_counted AND NOT c.has_cost AND c.is_newest, c.reservation_id, NULL) IGNORE NULLS) AS uncosted
  FROM (
    SELECT x.tenant_id, x.usage_date, s.reservation_id, s.outcome, s.has_cost, s.bytes_billed, s.bytes_read, s.slot_ms, s.cost_usd,
      (h.is_live OR h.is_given_back) AND s.outcome != 'NOT_STARTED' AS is_counted,
      s.outcome = 'NOT_STARTED' AND s.only_if_expired AS may_start,
      x.usage_date = IF(h.is_given_back, t.counted_on, s.usage_date) AS is_its_day,
      COALESCE(t.counted_on, s.usage_date) AS counted_on,
      CASE
        WHEN h.is_live AND s.outcome = 'NOT_STARTED' THEN IFNULL(t.units, 1)
        WHEN h.is_given_back AND s.outcome != 'NOT_STARTED' THEN -t.units
        ELSE 0
      END AS units_back,
      x.usage_date = h.newest AS is_newest,
      s.has_cost AND x.usage_date = CASE
        WHEN h.is_live THEN s.usage_date
        WHEN h.is_given_back THEN t.counted_on
        ELSE h.newest
      END AS is_costed
    FROM UNNEST(@settlements) AS s
    JOIN (
      SELECT
        e.tenant_id, e.reservation_id, LOGICAL_OR(e.is_live) AS is_live, LOGICAL_AND(e.is_taken) AS is_given_back,
        MAX(e.usage_date) AS newest, MAX(e.lease_expires_at) AS lease_expires_at
      FROM (
        SELECT a.tenant_id, a.usage_date, l.reservation_id, l.lease_expires_at, TRUE AS is_live, FALSE AS is_taken
        FROM tenant_usage_quotas AS a, UNNEST(a.live_runs) AS l
        WHERE a.usage_date >= @since AND l.reservation_id IN UNNEST(@ids)
        UNION ALL
        SELECT b.tenant_id, b.usage_date, u AS reservation_id, CAST(NULL AS TIMESTAMP) AS lease_expires_at, FALSE AS is_live, FALSE AS is_taken
        FROM tenant_usage_quotas AS b, UNNEST(b.uncosted_runs) AS u
        WHERE b.usage_date >= @since AND u IN UNNEST(@ids)
        UNION ALL
        SELECT f.tenant_id, f.usage_date, r.reservation_id, CAST(NULL AS TIMESTAMP) AS lease_expires_at, FALSE AS is_live, TRUE AS is_taken
        FROM tenant_usage_quotas AS f, UNNEST(f.reservations) AS r
        WHERE f.usage_date >= @since AND r.reservation_id IN UNNEST(@ids)
      ) AS e
      GROUP BY e.tenant_id, e.reservation_id
    ) AS h ON h.tenant_id = s.tenant_id AND h.reservation_id = s.reservation_id
    LEFT JOIN (
      SELECT d.tenant_id, r.reservation_id, MAX(d.usage_date) AS counted_on, MAX(r.units) AS units
      FROM tenant_usage_quotas AS d, UNNEST(d.reservations) AS r
      WHERE d.usage_date >= @since AND r.reservation_id IN UNNEST(@ids)
      GROUP BY d.tenant_id, r.reservation_id
    ) AS t ON t.tenant_id = s.tenant_id AND t.reservation_id = s.reservation_id
    JOIN tenant_usage_quotas AS x ON x.tenant_id = s.tenant_id
    WHERE x.usage_date >= @since
      AND NOT (s.only_if_expired AND IFNULL(h.lease_expires_at > @now, FALSE))
      AND (
        x.usage_date = s.usage_date
        OR x.usage_date = t.counted_on
        OR x.usage_date = h.newest
        OR (h.is_given_back AND x.usage_date > t.counted_on)
        OR EXISTS (SELECT 1 FROM UNNEST(x.live_runs) AS l WHERE l.reservation_id = s.reservation_id)
        OR EXISTS (SELECT 1 FROM UNNEST(x.reservations) AS r WHERE r.reservation_id = s.reservation_id)
      )
  ) AS c
  GROUP BY c.tenant_id, c.usage_date
) AS g
WHERE q.tenant_id = g.tenant_id AND q.usage_date = g.usage_date

-- name: usage_by_day
-- Reads only. Days on which no run has ended are missing.
-- param: tenant_id STRING
-- param: first_day DATE
-- param: last_day DATE
SELECT
  d.usage_date, SUM(d.runs_ended) AS runs, SUM(d.bytes_billed) AS bytes_billed, SUM(d.bytes_read) AS bytes_read, SUM(d.slot_ms) AS slot_ms,
  SUM(d.cost_usd) AS cost_usd
FROM tenant_usage_quotas AS d
WHERE d.tenant_id = @tenant_id AND d.usage_date >= @first_day AND d.usage_date <= @last_day AND (d.runs_ended > 0 OR d.cost_usd > 0.0)
GROUP BY d.usage_date
ORDER BY d.usage_date

-- name: usage_by_tenant
-- Reads only. The first row has no tenant and shows the sums over all tenants. Tenants without a run that has ended are missing.
-- param: first_day DATE
-- param: last_day DATE
-- param: after STRING
-- param: row_limit INT64
SELECT
  t.tenant_id, t.runs, t.bytes_billed, t.bytes_read, t.slot_ms, t.cost_usd
FROM (
  SELECT
    d.tenant_id, SUM(d.runs_ended) AS runs, SUM(d.bytes_billed) AS bytes_billed, SUM(d.bytes_read) AS bytes_read, SUM(d.slot_ms) AS slot_ms,
    SUM(d.cost_usd) AS cost_usd
  FROM tenant_usage_quotas AS d
  WHERE d.usage_date >= @first_day AND d.usage_date <= @last_day AND (d.runs_ended > 0 OR d.cost_usd > 0.0)
  GROUP BY ROLLUP(d.tenant_id)
) AS t
WHERE t.tenant_id IS NULL OR t.tenant_id > @after
ORDER BY t.tenant_id IS NOT NULL, t.tenant_id
LIMIT @row_limit
