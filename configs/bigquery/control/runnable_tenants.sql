-- The tenants that may run now, with the quota that is left today; NULL: unlimited. Over the monthly cost limit nothing is left. Owned by
-- auth. The scheduler reads it to decide which runs are worth queueing and claiming; only the ledger's `reserve` grants units and slots. A
-- tenant without a row for today has run nothing today: its usage of the month, and its live runs, are in its newest row. Dates are
-- bounded, so that BigQuery prunes partitions; a run that is live on the first day of the month is in a row of the two days before.
-- `max_priority` and `max_queued_runs` are the plan's; NULL: the default of this installation.
-- column: tenant_id STRING
-- column: units_left INT64
-- column: slots_left INT64
-- column: max_priority INT64
-- column: max_queued_runs INT64
CREATE OR REPLACE VIEW runnable_tenants AS
SELECT
  p.tenant_id,
  CASE
    WHEN u.cost_month >= u.monthly_cost_limit_usd THEN 0
    WHEN u.daily_limit IS NULL AND u.monthly_limit IS NULL THEN NULL
    ELSE GREATEST(0, LEAST(IFNULL(u.daily_limit - u.run_today, 1000000000), IFNULL(u.monthly_limit - u.run_month, 1000000000)))
  END AS units_left,
  IF(u.concurrent_limit IS NULL, NULL, GREATEST(0, u.concurrent_limit - u.live)) AS slots_left,
  u.max_priority,
  u.max_queued_runs
FROM (SELECT DISTINCT a.tenant_id FROM `${control}.tenant_profiles` AS a WHERE a.status = 'ACTIVE') AS p
JOIN (
  SELECT
    s.tenant_id,
    COALESCE(IF(q.usage_date = CURRENT_DATE(), q.daily_limit, NULL), s.daily_limit) AS daily_limit,
    COALESCE(IF(q.usage_date = CURRENT_DATE(), q.monthly_limit, NULL), s.monthly_limit) AS monthly_limit,
    COALESCE(IF(q.usage_date = CURRENT_DATE(), q.concurrent_limit, NULL), s.concurrent_limit) AS concurrent_limit,
    IF(q.usage_date = CURRENT_DATE(), IFNULL(q.pipelines_run_today, 0), 0) AS run_today,
    IF(q.usage_date >= DATE_TRUNC(CURRENT_DATE(), MONTH), COALESCE(q.pipelines_run_month, q.pipelines_run_today, 0), 0) AS run_month,
    IFNULL(q.live, 0) AS live,
    s.monthly_cost_limit_usd,
    s.max_priority,
    s.max_queued_runs,
    IFNULL(q.cost_month, 0.0) AS cost_month
  FROM (
    SELECT
      b.tenant_id, b.daily_limit, b.monthly_limit, b.concurrent_limit, b.monthly_cost_limit_usd, b.max_priority, b.max_queued_runs
    FROM `${control}.tenant_subscriptions` AS b
    WHERE b.status = 'ACTIVE'
    QUALIFY ROW_NUMBER() OVER (PARTITION BY b.tenant_id ORDER BY COALESCE(b.updated_at, b.created_at) DESC, b.subscription_id) = 1
  ) AS s
  LEFT JOIN (
    SELECT
      c.tenant_id, c.usage_date, c.daily_limit, c.monthly_limit, c.concurrent_limit, c.pipelines_run_today, c.pipelines_run_month,
      (SELECT COUNT(*) FROM UNNEST(c.live_runs) AS l WHERE l.lease_expires_at > CURRENT_TIMESTAMP()) AS live,
      SUM(IF(c.usage_date >= DATE_TRUNC(CURRENT_DATE(), MONTH), c.cost_usd, 0.0)) OVER (PARTITION BY c.tenant_id) AS cost_month
    FROM `${control}.tenant_usage_quotas` AS c
    WHERE c.usage_date >= DATE_SUB(DATE_TRUNC(CURRENT_DATE(), MONTH), INTERVAL 2 DAY) AND c.usage_date <= CURRENT_DATE()
    QUALIFY ROW_NUMBER() OVER (PARTITION BY c.tenant_id ORDER BY c.usage_date DESC) = 1
  ) AS q ON q.tenant_id = s.tenant_id
) AS u ON u.tenant_id = p.tenant_id
