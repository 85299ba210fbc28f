-- Two tenants; of the first, a run that waits, one that was claimed by a scheduler that died, and one that was called. Both of these were being
-- executed by an executor that died, too. Columns that came later are not named.
INSERT INTO tenant_profiles (tenant_id, company_name, admin_email, status, created_at, updated_at)
SELECT t, 'Old Corp', 'old@corp.example', 'ACTIVE', TIMESTAMP '2025-11-01 00:00:00+00', TIMESTAMP '2025-11-01 00:00:00+00'
FROM UNNEST([@tenant_id, 'gone_tenant']) AS t WHERE t NOT IN (SELECT p.tenant_id FROM tenant_profiles AS p);
INSERT INTO tenant_subscriptions (subscription_id, tenant_id, plan_name, status, daily_limit, monthly_limit, concurrent_limit, created_at, updated_at)
SELECT CONCAT('sub-', @tenant_id), @tenant_id, 'PRO', 'ACTIVE', 25, 500, 5, TIMESTAMP '2025-11-01 00:00:00+00', TIMESTAMP '2025-11-01 00:00:00+00'
FROM (SELECT 1 AS one) AS o;
INSERT INTO tenant_api_keys (api_key_id, tenant_id, api_key_hash, is_active, scopes, created_at)
SELECT CONCAT('key-', @tenant_id), @tenant_id, @api_key_hash, TRUE, [], TIMESTAMP '2025-11-01 00:00:00+00' FROM (SELECT 1 AS one) AS o;
INSERT INTO tenant_usage_quotas (
  tenant_id, usage_date, pipelines_run_today, pipelines_succeeded_today, pipelines_failed_today, pipelines_run_month,
  concurrent_pipelines_running, daily_limit, monthly_limit, concurrent_limit, live_runs, last_updated, created_at
)
SELECT
  @tenant_id, CURRENT_DATE(), 3, 1, 0, 7, 2, 25, 500, 5,
  [
    STRUCT(@scheduled AS reservation_id, TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 20 MINUTE) AS lease_expires_at),
    STRUCT(@called AS reservation_id, TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 20 MINUTE) AS lease_expires_at)
  ],
  CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP()
FROM (SELECT 1 AS one) AS o;
INSERT INTO tenant_pipeline_configs (
  config_id, tenant_id, provider, domain, pipeline_template, schedule_cron, timezone, is_active, priority, parameters, max_retries,
  next_run_time, created_at, updated_at
)
SELECT
  CONCAT('config-', @tenant_id), @tenant_id, 'gcp', 'cost', 'billing', '0 3 * * *', 'UTC', TRUE, 50, JSON '{"date": "2025-11-16"}', 3,
  TIMESTAMP '2099-01-01 03:00:00+00', TIMESTAMP '2025-11-01 00:00:00+00', TIMESTAMP '2025-11-01 00:00:00+00'
FROM (SELECT 1 AS one) AS o;
INSERT INTO scheduled_pipeline_runs (
  run_id, config_id, tenant_id, pipeline_id, state, scheduled_time, priority, parameters, pipeline_logging_id, retry_count, max_retries,
  created_at, started_at
)
SELECT
  r.run_id, CONCAT('config-', @tenant_id), @tenant_id, 'gcp-cost-billing', 'PENDING', r.fire_time, 50,
  IF(r.run_id = @claimed, JSON '{"date": "2025-11-16"}', JSON '{"date": "2025-11-17"}'), IF(r.run_id = @claimed, @scheduled, NULL), 0, 3, r.fire_time,
  IF(r.run_id = @claimed, r.fire_time, NULL)
FROM UNNEST([
  STRUCT(@claimed AS run_id, TIMESTAMP '2025-11-17 03:00:00+00' AS fire_time), STRUCT(@waiting, TIMESTAMP '2025-11-18 03:00:00+00')
]) AS r;
INSERT INTO pipeline_execution_queue (
  run_id, config_id, tenant_id, pipeline_id, state, priority, scheduled_time, added_at, attempt, processing_started_at, claimed_by,
  lease_expires_at
)
SELECT
  r.run_id, r.config_id, r.tenant_id, r.pipeline_id, IF(r.started_at IS NULL, 'QUEUED', 'PROCESSING'), 50, r.scheduled_time, r.created_at,
  IF(r.started_at IS NULL, 0, 1), r.started_at, IF(r.started_at IS NULL, NULL, 'a-scheduler-that-died'),
  IF(r.started_at IS NULL, NULL, TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 20 MINUTE))
FROM scheduled_pipeline_runs AS r WHERE r.tenant_id = @tenant_id
