-- What is put into the tables of a benchmark, once; none of it is safe to replay. The default dataset is the tenant's own; of `fleet` it is
-- the control dataset.

-- name: runs
-- param: tenant STRING
-- param: runs INT64
INSERT INTO x_meta_pipeline_runs (
  pipeline_logging_id, tenant_id, pipeline_id, user_id, status, trigger_type, trigger_by, attempt, started_at, deadline_at, completed_at,
  duration_ms, rows_processed, error_message, bytes_billed, slot_ms, bytes_read, cost_usd
)
SELECT
  GENERATE_UUID(), @tenant, CONCAT(@tenant, '-gcp-cost-billing'), 'alice@acme.example', IF(MOD(i, 20) = 0, 'FAILED', 'COMPLETED'),
  'scheduler', 'scheduler', 1, TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL i * 150 MINUTE), CURRENT_TIMESTAMP(),
  TIMESTAMP_ADD(TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL i * 150 MINUTE), INTERVAL 40 SECOND), 40000, 1200 + i,
  IF(MOD(i, 20) = 0, 'The export has no table yet. Switch it on in the billing account.', NULL), 10485760, 9000, 3145728, 0.0001
FROM UNNEST(GENERATE_ARRAY(1, @runs)) AS i

-- name: costs
-- param: days INT64
-- param: services INT64
INSERT INTO focus_cost_daily (
  x_UsageDate, BilledCost, BillingAccountId, BillingAccountType, BillingCurrency, BillingPeriodEnd, BillingPeriodStart, ChargeCategory,
  ChargeFrequency, ChargePeriodEnd, ChargePeriodStart, ContractedCost, EffectiveCost, InvoiceIssuerName, ListCost, ProviderName,
  PublisherName, ServiceCategory, ServiceName, ServiceSubcategory, SubAccountId, RegionId, Tags, x_Provider
)
SELECT
  d, c.cost, 'account', 'Billing Account', 'USD',
  TIMESTAMP(DATE_ADD(DATE_TRUNC(d, MONTH), INTERVAL 1 MONTH)), TIMESTAMP(DATE_TRUNC(d, MONTH)),
  'Usage', 'Usage-Based', TIMESTAMP(DATE_ADD(d, INTERVAL 1 DAY)), TIMESTAMP(d), c.cost, c.cost, p.name, c.cost * 2, p.name, p.name,
  'Compute', CONCAT(p.name, ' service ', CAST(s AS STRING)), 'Other (Compute)', 'sub', 'eu-1', JSON '{"team": "web"}', p.code
FROM UNNEST(GENERATE_DATE_ARRAY(DATE_SUB(CURRENT_DATE(), INTERVAL @days DAY), DATE_SUB(CURRENT_DATE(), INTERVAL 1 DAY))) AS d
CROSS JOIN (
  SELECT 'gcp' AS source, 'Google Cloud' AS name, 'GCP' AS code UNION ALL
  SELECT 'aws', 'AWS', 'AWS' UNION ALL
  SELECT 'azure', 'Microsoft', 'AZURE'
) AS p
CROSS JOIN (SELECT s, CAST(1000 / s AS NUMERIC) AS cost FROM UNNEST(GENERATE_ARRAY(1, @services)) AS s) AS c

-- name: ledger
-- param: days INT64
-- param: services INT64
INSERT INTO x_meta_cost_days (
  source, usage_date, row_count, sums, first_loaded_at, last_loaded_at, changed_at, version, focus_version, state, state_rule, is_followed,
  source_version, is_loaded
)
SELECT
  p.source, d, @services, [STRUCT('USD' AS currency, NUMERIC '4278' AS net_cost, NUMERIC '4278' AS size)], CURRENT_TIMESTAMP(),
  CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), 1, 1, IF(d < DATE_SUB(CURRENT_DATE(), INTERVAL 5 DAY), 'FINAL', 'SETTLING'), 'age', TRUE, 1,
  TRUE
FROM UNNEST(GENERATE_DATE_ARRAY(DATE_SUB(CURRENT_DATE(), INTERVAL @days DAY), DATE_SUB(CURRENT_DATE(), INTERVAL 1 DAY))) AS d
CROSS JOIN (
  SELECT 'gcp' AS source, 'Google Cloud' AS name, 'GCP' AS code UNION ALL
  SELECT 'aws', 'AWS', 'AWS' UNION ALL
  SELECT 'azure', 'Microsoft', 'AZURE'
) AS p

-- name: changes
-- param: changes INT64
-- param: services INT64
INSERT INTO x_meta_cost_changes (
  source, usage_date, service, currency, cost_before, cost_after, delta, is_first_load, after_final, pipeline_logging_id, changed_at
)
SELECT
  'gcp', DATE_SUB(CURRENT_DATE(), INTERVAL 1 + MOD(i, 25) DAY), CONCAT('Google Cloud service ', CAST(1 + MOD(i, @services) AS STRING)),
  'USD', NUMERIC '1', NUMERIC '2', NUMERIC '1', FALSE, FALSE, GENERATE_UUID(), TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL i * 4 MINUTE)
FROM UNNEST(GENERATE_ARRAY(1, @changes)) AS i

-- name: fleet
-- param: tenants INT64
-- param: runs INT64
INSERT INTO tenant_profiles (tenant_id, company_name, admin_email, status, created_at)
SELECT
  CONCAT('bench_', LPAD(CAST(i AS STRING), 4, '0')), CONCAT('Company ', CAST(i AS STRING)), 'ops@acme.example', 'ACTIVE', CURRENT_TIMESTAMP()
FROM UNNEST(GENERATE_ARRAY(1, @tenants)) AS i;
INSERT INTO tenant_subscriptions (subscription_id, tenant_id, plan_name, status, daily_limit, created_at)
SELECT p.tenant_id, p.tenant_id, 'standard', 'ACTIVE', 10, CURRENT_TIMESTAMP()
FROM tenant_profiles AS p
WHERE STARTS_WITH(p.tenant_id, 'bench_');
INSERT INTO tenant_api_keys (api_key_id, tenant_id, api_key_hash, is_active, created_at)
SELECT GENERATE_UUID(), p.tenant_id, GENERATE_UUID(), TRUE, CURRENT_TIMESTAMP()
FROM tenant_profiles AS p
WHERE STARTS_WITH(p.tenant_id, 'bench_');
INSERT INTO tenant_usage_quotas (
  tenant_id, usage_date, pipelines_run_today, pipelines_run_month, runs_ended, bytes_billed, bytes_read, slot_ms, cost_usd
)
SELECT p.tenant_id, CURRENT_DATE(), 5, 5, 5, 52428800, 1048576, 9000, 0.01
FROM tenant_profiles AS p
WHERE STARTS_WITH(p.tenant_id, 'bench_');
INSERT INTO tenant_runs (
  entry_id, tenant_id, pipeline_logging_id, pipeline_id, status, trigger_type, started_at, completed_at, error_message, cost_usd, written_at
)
SELECT
  GENERATE_UUID(), r.tenant_id, r.run, 'gcp-cost-billing', r.status, 'scheduler', r.began, IF(r.status = 'RUNNING', NULL, r.began),
  IF(r.status = 'FAILED', 'The export has no table yet. Switch it on in the billing account.', NULL), 0.001, CURRENT_TIMESTAMP()
FROM (
  SELECT
    i.run, IF(begun, 'RUNNING', IF(MOD(i.n, 20) = 0, 'FAILED', 'COMPLETED')) AS status, i.began,
    CONCAT('bench_', LPAD(CAST(1 + MOD(i.n, @tenants) AS STRING), 4, '0')) AS tenant_id
  FROM (
    SELECT n, GENERATE_UUID() AS run, TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL n MINUTE) AS began
    FROM UNNEST(GENERATE_ARRAY(1, @runs)) AS n
  ) AS i
  CROSS JOIN UNNEST([TRUE, FALSE]) AS begun
) AS r
