CREATE OR REPLACE VIEW runnable_tenants AS
SELECT
  p.tenant_id,
  IF(
    u.daily_limit IS NULL AND u.monthly_limit IS NULL,
    NULL,
    GREATEST(0, LEAST(IFNULL(u.daily_limit - u.run_today, 1000000000), IFNULL(u.monthly_limit - u.run_month, 1000000000)))
  ) AS units_left,
  IF(u.concurrent_limit IS NULL, NULL, GREATEST(0, u.concurrent_limit - u.live)) AS slots_left
FROM (SELECT DISTINCT a.tenant_id FROM `${control}.tenant_profiles` AS a WHERE a.status = 'ACTIVE') AS p
JOIN (
  SELECT
    s.tenant_id,
    COALESCE(IF(q.usage_date = CURRENT_DATE(), q.daily_limit, NULL), s.daily_limit) AS daily_limit,
    COALESCE(IF(q.usage_date = CURRENT_DATE(), q.monthly_limit, NULL), s.monthly_limit) AS monthly_limit,
    COALESCE(IF(q.usage_date = CURRENT_DATE(), q.concurrent_limit, NULL), s.concurrent_limit) AS concurrent_limit,
    IF(q.usage_date = CURRENT_DATE(), IFNULL(q.pipelines_run_today, 0), 0) AS run_today,
    IF(q.usage_date >= DATE_TRUNC(CURRENT_DATE(), MONTH), COALESCE(q.pipelines_run_month, q.pipelines_run_today, 0), 0) AS run_month,
    IFNULL(q.live, 0) AS live
  FROM (
    SELECT b.tenant_id, b.daily_limit, b.monthly_limit, b.concurrent_limit
    FROM `${control}.tenant_subscriptions` AS b
    WHERE b.status = 'ACTIVE'
    QUALIFY ROW_NUMBER() OVER (PARTITION BY b.tenant_id ORDER BY COALESCE(b.updated_at, b.created_at) DESC, b.subscription_id) = 1
  ) AS s
  LEFT JOIN (
    SELECT
      c.tenant_id, c.usage_date, c.daily_limit, c.monthly_limit, c.concurrent_limit, c.pipelines_run_today, c.pipelines_run_month,
      (SELECT COUNT(*) FROM UNNEST(c.live_runs) AS l WHERE l.lease_expires_at > CURRENT_TIMESTAMP()) AS live
    FROM `${control}.tenant_usage_quotas` AS c
    WHERE c.usage_date >= DATE_SUB(DATE_TRUNC(CURRENT_DATE(), MONTH), INTERVAL 2 DAY) AND c.usage_date <= CURRENT_DATE()
    QUALIFY ROW_NUMBER() OVER (PARTITION BY c.tenant_id ORDER BY c.usage_date DESC) = 1
  ) AS q ON q.tenant_id = s.tenant_id
) AS u ON u.tenant_id = p.tenant_id
