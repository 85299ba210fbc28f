-- The SQL of focus.yml. x_staging_focus_cost_daily stands for the run's own staging table, which has the columns of focus_cost_daily.
-- FOCUS columns that nothing in billing_cost_daily tells are not named here, and so NULL: docs/focus.md lists them.

-- name: focus_stage
-- Rows and sums of the source are taken in the transaction that fills the staging table: one snapshot, also while gcp/cost/billing replaces
-- the days. Replayed, it replaces what it has staged; of two at once BigQuery cancels one, as both delete.
-- A day is loaded if it has rows, or if a run of gcp/cost/billing has completed that covers it: then it has none.
-- An invoice month begins at midnight in Pacific time (Cloud Billing, "Understand the billing export data": invoice.month), and so an
-- adjustment of usage of an earlier month corrects an invoice that was already written.
-- param: tenant_id STRING
-- param: first_day DATE
-- param: last_day DATE
-- param: loaded_at TIMESTAMP
-- param: pipeline_logging_id STRING
DECLARE rows_staged, source_rows INT64;
DECLARE source_sums ARRAY<STRUCT<currency STRING, net_cost FLOAT64, cost FLOAT64, list_cost FLOAT64>>;
DECLARE days_not_loaded ARRAY<DATE>;
BEGIN TRANSACTION;
DELETE FROM x_staging_focus_cost_daily WHERE TRUE;
INSERT INTO x_staging_focus_cost_daily (
  x_UsageDate, AvailabilityZone, BilledCost, BillingAccountId, BillingAccountType, BillingCurrency, BillingPeriodStart, BillingPeriodEnd,
  ChargeCategory, ChargeClass, ChargeDescription, ChargeFrequency, ChargePeriodStart, ChargePeriodEnd, ConsumedQuantity, ConsumedUnit,
  ContractedCost, ContractedUnitPrice, EffectiveCost, InvoiceIssuerName, ListCost, ListUnitPrice, PricingCategory, PricingQuantity,
  PricingUnit, ProviderName, PublisherName, RegionId, RegionName, ResourceId, ResourceName, ResourceType, ServiceCategory, ServiceName,
  ServiceSubcategory, SkuId, SkuMeter, SubAccountId, SubAccountName, SubAccountType, Tags, x_CostType, x_CreditsTotal,
  x_CurrencyConversionRate, x_InvoiceMonth, x_Location, x_ProjectNumber, x_ServiceId, x_SystemLabels, x_LoadedAt, x_PipelineLoggingId
)
SELECT
  s.usage_date, s.zone, SAFE_CAST(s.net_cost AS NUMERIC), s.billing_account_id, 'Billing Account', s.currency,
  TIMESTAMP(s.billing_month, 'America/Los_Angeles'), TIMESTAMP(DATE_ADD(s.billing_month, INTERVAL 1 MONTH), 'America/Los_Angeles'),
  s.category, IF(s.cost_type = 'adjustment' AND s.usage_month < s.invoice_month, 'Correction', NULL),
  s.sku_description, IF(s.category = 'Usage', 'Usage-Based', 'One-Time'), s.usage_start_time, s.usage_end_time,
  IF(s.category = 'Usage', s.consumed, NULL), IF(s.category = 'Usage' AND s.consumed IS NOT NULL, s.usage_unit, NULL),
  SAFE_CAST(s.cost AS NUMERIC), IF(s.category = 'Usage' AND s.unit_price >= 0, s.unit_price, NULL),
  SAFE_CAST(s.net_cost AS NUMERIC), 'Google Cloud',
  SAFE_CAST(s.list_cost AS NUMERIC), IF(s.category = 'Usage' AND s.list_unit_price >= 0, s.list_unit_price, NULL),
  IF(s.category = 'Usage', IF(REGEXP_CONTAINS(s.sku_description, r'^(Spot )?Preemptible '), 'Dynamic', 'Standard'), NULL),
  IF(s.category = 'Usage', s.priced, NULL), IF(s.category = 'Usage' AND s.priced IS NOT NULL, s.usage_pricing_unit, NULL),
  'Google Cloud', 'Google Cloud', s.region, s.region,
  s.resource_id, s.resource_name,
  IF(s.resource_id IS NULL, NULL, IFNULL(REGEXP_EXTRACT(s.resource_id, r'/([^/]+)/[^/]+$'), s.service_name)),
  IFNULL(known.category, 'Other'), s.service_name, IFNULL(known.subcategory, 'Other (Other)'),
  IF(s.category = 'Tax', NULL, s.sku_id), IF(s.category = 'Tax' OR s.sku_id IS NULL, NULL, s.sku_description),
  s.project_id, IF(s.project_id IS NULL, NULL, s.project_name), IF(s.project_id IS NULL, NULL, 'Project'), s.labels,
  s.cost_type, SAFE_CAST(s.credits_total AS NUMERIC), s.currency_conversion_rate, s.invoice_month,
  s.location, s.project_number, s.service_id, s.system_labels, @loaded_at, @pipeline_logging_id
FROM (
  SELECT
    b.usage_date, b.billing_account_id, b.service_id, b.service_description,
    COALESCE(b.service_description, b.service_id, 'Unspecified') AS service_name,
    b.sku_id, b.sku_description, b.usage_start_time, b.usage_end_time, b.project_id, b.project_name, b.project_number,
    b.location, b.region, b.zone,
    b.resource_name, IFNULL(b.resource_global_name, b.resource_name) AS resource_id, b.labels, b.system_labels,
    IF(b.usage_unit IS NULL, NULL, b.usage_amount) AS consumed, b.usage_unit,
    IF(b.usage_pricing_unit IS NULL, NULL, b.usage_amount_in_pricing_units) AS priced, b.usage_pricing_unit,
    b.cost, b.credits_total, b.net_cost, IFNULL(b.cost_at_list, b.cost) AS list_cost,
    SAFE_DIVIDE(b.cost, IF(b.usage_pricing_unit IS NULL, NULL, b.usage_amount_in_pricing_units)) AS unit_price,
    SAFE_DIVIDE(IFNULL(b.cost_at_list, b.cost), IF(b.usage_pricing_unit IS NULL, NULL, b.usage_amount_in_pricing_units)) AS list_unit_price,
    b.currency, b.currency_conversion_rate, b.cost_type, b.invoice_month,
    FORMAT_TIMESTAMP('%Y%m', b.usage_start_time, 'America/Los_Angeles') AS usage_month,
    SAFE.PARSE_DATE('%Y%m', IFNULL(b.invoice_month, FORMAT_TIMESTAMP('%Y%m', b.usage_start_time, 'America/Los_Angeles'))) AS billing_month,
    CASE
      WHEN b.cost_type = 'tax' THEN 'Tax'
      WHEN b.cost_type != 'regular' THEN 'Adjustment'
      WHEN b.cost = 0 AND b.credits_total != 0 AND IFNULL(b.usage_amount, 0) = 0 THEN 'Credit'
      ELSE 'Usage'
    END AS category
  FROM billing_cost_daily AS b
  WHERE b.usage_date BETWEEN @first_day AND @last_day
) AS s
LEFT JOIN UNNEST([
  STRUCT('Compute Engine' AS service, 'Compute' AS category, 'Virtual Machines' AS subcategory),
  ('Cloud Run', 'Compute', 'Serverless Compute'),
  ('Cloud Run Functions', 'Compute', 'Serverless Compute'),
  ('Cloud Functions', 'Compute', 'Serverless Compute'),
  ('Kubernetes Engine', 'Compute', 'Containers'),
  ('VMware Engine', 'Compute', 'Virtual Machines'),
  ('Bare Metal Solution', 'Compute', 'Other (Compute)'),
  ('App Engine', 'Web', 'Application Platforms'),
  ('Firebase Hosting', 'Web', 'Application Platforms'),
  ('Firebase', 'Mobile', 'Other (Mobile)'),
  ('Cloud Storage', 'Storage', 'Object Storage'),
  ('Cloud Filestore', 'Storage', 'File Storage'),
  ('NetApp Volumes', 'Storage', 'File Storage'),
  ('Backup and DR Service', 'Storage', 'Backup Storage'),
  ('Backup for GKE', 'Storage', 'Backup Storage'),
  ('BigQuery', 'Databases', 'Data Warehouses'),
  ('BigQuery Reservation API', 'Databases', 'Data Warehouses'),
  ('BigQuery Storage API', 'Databases', 'Data Warehouses'),
  ('Cloud SQL', 'Databases', 'Relational Databases'),
  ('Cloud Spanner', 'Databases', 'Relational Databases'),
  ('AlloyDB', 'Databases', 'Relational Databases'),
  ('Cloud Bigtable', 'Databases', 'NoSQL Databases'),
  ('Cloud Datastore', 'Databases', 'NoSQL Databases'),
  ('Cloud Firestore', 'Databases', 'NoSQL Databases'),
  ('Firebase Realtime Database', 'Databases', 'NoSQL Databases'),
  ('Cloud Memorystore for Redis', 'Databases', 'Caching'),
  ('Cloud Memorystore for Memcached', 'Databases', 'Caching'),
  ('BigQuery BI Engine', 'Analytics', 'Business Intelligence'),
  ('Looker', 'Analytics', 'Business Intelligence'),
  ('Looker Studio', 'Analytics', 'Business Intelligence'),
  ('BigQuery Data Transfer Service', 'Analytics', 'Data Processing'),
  ('Cloud Data Fusion', 'Analytics', 'Data Processing'),
  ('Cloud Dataflow', 'Analytics', 'Data Processing'),
  ('Cloud Dataproc', 'Analytics', 'Data Processing'),
  ('Cloud Pub/Sub', 'Integration', 'Messaging'),
  ('Cloud Tasks', 'Integration', 'Messaging'),
  ('Eventarc', 'Integration', 'Messaging'),
  ('Apigee', 'Integration', 'API Management'),
  ('API Gateway', 'Integration', 'API Management'),
  ('Cloud Composer', 'Integration', 'Workflow Orchestration'),
  ('Cloud Scheduler', 'Integration', 'Workflow Orchestration'),
  ('Workflows', 'Integration', 'Workflow Orchestration'),
  ('Networking', 'Networking', 'Network Infrastructure'),
  ('Cloud DNS', 'Networking', 'Network Routing'),
  ('Cloud CDN', 'Networking', 'Content Delivery'),
  ('Cloud VPN', 'Networking', 'Network Connectivity'),
  ('Vertex AI', 'AI and Machine Learning', 'AI Platforms'),
  ('Gemini API', 'AI and Machine Learning', 'Generative AI'),
  ('Cloud Natural Language API', 'AI and Machine Learning', 'Natural Language Processing'),
  ('Translate', 'AI and Machine Learning', 'Natural Language Processing'),
  ('Dialogflow API', 'AI and Machine Learning', 'Bots'),
  ('Cloud Document AI API', 'AI and Machine Learning', 'Machine Learning'),
  ('Cloud Speech API', 'AI and Machine Learning', 'Machine Learning'),
  ('Cloud Vision API', 'AI and Machine Learning', 'Machine Learning'),
  ('Cloud Logging', 'Management and Governance', 'Observability'),
  ('Cloud Monitoring', 'Management and Governance', 'Observability'),
  ('Cloud Trace', 'Management and Governance', 'Observability'),
  ('Dataplex', 'Management and Governance', 'Data Governance'),
  ('Support', 'Management and Governance', 'Support'),
  ('Cloud Key Management Service (KMS)', 'Security', 'Secret Management'),
  ('Secret Manager', 'Security', 'Secret Management'),
  ('Security Command Center', 'Security', 'Security Posture Management'),
  ('Cloud IDS', 'Security', 'Threat Detection and Response'),
  ('reCAPTCHA Enterprise', 'Security', 'Threat Detection and Response'),
  ('Certificate Authority Service', 'Security', 'Other (Security)'),
  ('Identity Platform', 'Identity', 'Identity and Access Management'),
  ('Cloud Build', 'Developer Tools', 'Continuous Integration and Deployment'),
  ('Cloud Deploy', 'Developer Tools', 'Continuous Integration and Deployment'),
  ('Artifact Registry', 'Developer Tools', 'Developer Platforms'),
  ('Container Registry', 'Developer Tools', 'Developer Platforms'),
  ('Source Repository', 'Developer Tools', 'Source Code Management'),
  ('Cloud Workstations', 'Developer Tools', 'Development Environments'),
  ('Transcoder API', 'Media', 'Content Creation'),
  ('Live Stream API', 'Media', 'Media Streaming'),
  ('Database Migration Service', 'Migration', 'Data Migration'),
  ('Storage Transfer Service', 'Migration', 'Data Migration'),
  ('Google Workspace', 'Business Applications', 'Productivity and Collaboration'),
  ('Invoice', 'Other', 'Other (Other)')
]) AS known ON known.service = s.service_description;
SET rows_staged = @@row_count;
SET source_rows = (SELECT COUNT(*) FROM billing_cost_daily AS b WHERE b.usage_date BETWEEN @first_day AND @last_day);
SET source_sums = ARRAY(
  SELECT AS STRUCT b.currency, SUM(b.net_cost) AS net_cost, SUM(b.cost) AS cost, SUM(IFNULL(b.cost_at_list, b.cost)) AS list_cost
  FROM billing_cost_daily AS b
  WHERE b.usage_date BETWEEN @first_day AND @last_day
  GROUP BY b.currency);
SET days_not_loaded = ARRAY(
  SELECT day
  FROM UNNEST(GENERATE_DATE_ARRAY(@first_day, @last_day)) AS day
  WHERE day NOT IN (
    SELECT b.usage_date
    FROM billing_cost_daily AS b
    WHERE b.usage_date BETWEEN @first_day AND @last_day
    UNION ALL
    SELECT loaded
    FROM x_meta_pipeline_runs AS r
    CROSS JOIN UNNEST(GENERATE_DATE_ARRAY(
      SAFE_CAST(COALESCE(JSON_VALUE(r.parameters, '$.date'), JSON_VALUE(r.parameters, '$.start_date')) AS DATE),
      SAFE_CAST(COALESCE(JSON_VALUE(r.parameters, '$.date'), JSON_VALUE(r.parameters, '$.end_date')) AS DATE))) AS loaded
    WHERE r.pipeline_id = CONCAT(@tenant_id, '-gcp-cost-billing') AND r.status = 'COMPLETED')
  ORDER BY day);
COMMIT TRANSACTION;
SELECT
  rows_staged, source_rows, source_sums,
  CONCAT('gcp/cost/billing has never loaded ', (
    SELECT STRING_AGG(CAST(day AS STRING), ', ' ORDER BY day) FROM UNNEST(days_not_loaded) AS day
  ), '. Run it for these days first.') AS missing

-- name: focus_conformance
-- One pass over the staging table measures everything: a row a check, failing_rows 0 where it holds. Reads only.
-- Sums are compared currency by currency; one that is missing on either side is 0 there. Half a cent is far above what rounding to NUMERIC
-- and FLOAT64's order of adding can do, and below anything that a reader could see.
-- param: first_day DATE
-- param: last_day DATE
-- param: source_rows INT64
-- param: source_sums ARRAY<STRUCT<currency STRING, net_cost FLOAT64, cost FLOAT64, list_cost FLOAT64>>
SELECT c.check_name, c.failing_rows, c.observed_value
FROM (
  SELECT [
    STRUCT(
      'rows_agree_with_source' AS check_name, ABS(r.staged - @source_rows) AS failing_rows, CAST(r.staged AS STRING) AS observed_value),
    STRUCT('billed_cost_agrees' AS check_name, t.billed_off AS failing_rows, t.billed AS observed_value),
    STRUCT('effective_cost_agrees' AS check_name, t.effective_off AS failing_rows, t.effective AS observed_value),
    STRUCT('contracted_cost_agrees' AS check_name, t.contracted_off AS failing_rows, t.contracted AS observed_value),
    STRUCT('list_cost_agrees' AS check_name, t.listed_off AS failing_rows, t.listed AS observed_value),
    STRUCT('mandatory_not_null' AS check_name, r.lacking AS failing_rows, r.lacks AS observed_value),
    STRUCT('values_allowed' AS check_name, r.not_allowed AS failing_rows, r.not_allowed_in AS observed_value),
    STRUCT('currency_is_iso_4217' AS check_name, r.odd_currency AS failing_rows, r.odd_currencies AS observed_value),
    STRUCT('periods_in_order' AS check_name, r.periods_reversed AS failing_rows, CAST(r.periods_reversed AS STRING) AS observed_value),
    STRUCT('charges_on_the_date' AS check_name, r.other_dates AS failing_rows, CAST(r.other_dates AS STRING) AS observed_value),
    STRUCT('prices_not_negative' AS check_name, r.negative_prices AS failing_rows, CAST(r.negative_prices AS STRING) AS observed_value),
    STRUCT('nulls_as_specified' AS check_name, r.nulls_broken AS failing_rows, CAST(r.nulls_broken AS STRING) AS observed_value),
    STRUCT('usage_is_priced' AS check_name, r.unpriced AS failing_rows, CAST(r.unpriced AS STRING) AS observed_value),
    STRUCT('services_have_a_category' AS check_name, r.uncategorized AS failing_rows, r.uncategorized_services AS observed_value)
  ] AS checks
  FROM (
    SELECT
      COUNT(*) AS staged,
      COUNTIF(f.lacks IS NOT NULL) AS lacking, LEFT(STRING_AGG(DISTINCT f.lacks, '; ' ORDER BY f.lacks), 500) AS lacks,
      COUNTIF(f.not_allowed IS NOT NULL) AS not_allowed,
      LEFT(STRING_AGG(DISTINCT f.not_allowed, '; ' ORDER BY f.not_allowed), 500) AS not_allowed_in,
      COUNTIF(f.odd_currency IS NOT NULL) AS odd_currency,
      LEFT(STRING_AGG(DISTINCT f.odd_currency, ', ' ORDER BY f.odd_currency), 500) AS odd_currencies,
      COUNTIF(f.periods_reversed) AS periods_reversed, COUNTIF(f.another_date) AS other_dates, COUNTIF(f.negative_price) AS negative_prices,
      COUNTIF(f.nulls_broken) AS nulls_broken, COUNTIF(f.unpriced) AS unpriced,
      COUNTIF(f.uncategorized IS NOT NULL) AS uncategorized,
      LEFT(STRING_AGG(DISTINCT f.uncategorized, ', ' ORDER BY f.uncategorized), 500) AS uncategorized_services
    FROM (
      SELECT
        NULLIF(ARRAY_TO_STRING([
          IF(f.BilledCost IS NULL, 'BilledCost', NULL), IF(f.BillingAccountId IS NULL, 'BillingAccountId', NULL),
          IF(f.BillingAccountType IS NULL, 'BillingAccountType', NULL), IF(f.BillingCurrency IS NULL, 'BillingCurrency', NULL),
          IF(f.BillingPeriodEnd IS NULL, 'BillingPeriodEnd', NULL), IF(f.BillingPeriodStart IS NULL, 'BillingPeriodStart', NULL),
          IF(f.ChargeCategory IS NULL, 'ChargeCategory', NULL), IF(f.ChargeFrequency IS NULL, 'ChargeFrequency', NULL),
          IF(f.ChargePeriodEnd IS NULL, 'ChargePeriodEnd', NULL), IF(f.ChargePeriodStart IS NULL, 'ChargePeriodStart', NULL),
          IF(f.ContractedCost IS NULL, 'ContractedCost', NULL), IF(f.EffectiveCost IS NULL, 'EffectiveCost', NULL),
          IF(f.InvoiceIssuerName IS NULL, 'InvoiceIssuerName', NULL), IF(f.ListCost IS NULL, 'ListCost', NULL),
          IF(f.ProviderName IS NULL, 'ProviderName', NULL), IF(f.PublisherName IS NULL, 'PublisherName', NULL),
          IF(f.ServiceCategory IS NULL, 'ServiceCategory', NULL), IF(f.ServiceName IS NULL, 'ServiceName', NULL),
          IF(f.ServiceSubcategory IS NULL, 'ServiceSubcategory', NULL)
        ], ', '), '') AS lacks,
        NULLIF(ARRAY_TO_STRING([
          IF(f.ChargeCategory NOT IN ('Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment'), 'ChargeCategory', NULL),
          IF(f.ChargeClass NOT IN ('Correction'), 'ChargeClass', NULL),
          IF(f.ChargeFrequency NOT IN ('One-Time', 'Recurring', 'Usage-Based'), 'ChargeFrequency', NULL),
          IF(f.PricingCategory NOT IN ('Standard', 'Dynamic', 'Committed', 'Other'), 'PricingCategory', NULL),
          IF(allowed.category IS NULL, 'ServiceCategory with ServiceSubcategory', NULL)
        ], ', '), '') AS not_allowed,
        IF(REGEXP_CONTAINS(f.BillingCurrency, r'^[A-Z][A-Z][A-Z]$'), NULL, f.BillingCurrency) AS odd_currency,
        f.ChargePeriodEnd < f.ChargePeriodStart OR f.BillingPeriodEnd <= f.BillingPeriodStart AS periods_reversed,
        f.x_UsageDate NOT BETWEEN @first_day AND @last_day OR DATE(f.ChargePeriodStart) != f.x_UsageDate AS another_date,
        f.ListUnitPrice < 0 OR f.ContractedUnitPrice < 0 AS negative_price,
        f.ChargeCategory = 'Tax' AND COALESCE(f.SkuId, f.SkuMeter, f.PricingCategory, f.PricingUnit) IS NOT NULL
          OR f.ChargeCategory = 'Tax' AND COALESCE(f.PricingQuantity, f.ListUnitPrice, f.ContractedUnitPrice) IS NOT NULL
          OR f.ChargeCategory != 'Usage' AND f.ConsumedQuantity IS NOT NULL
          OR (f.ConsumedQuantity IS NULL) != (f.ConsumedUnit IS NULL)
          OR (f.PricingQuantity IS NULL) != (f.PricingUnit IS NULL)
          OR (f.RegionId IS NULL) != (f.RegionName IS NULL)
          OR (f.ResourceId IS NULL) != (f.ResourceType IS NULL)
          OR (f.SubAccountId IS NULL) != (f.SubAccountType IS NULL) AS nulls_broken,
        f.ChargeCategory = 'Usage'
          AND (f.SkuId IS NULL OR f.PricingQuantity IS NULL OR f.ListUnitPrice IS NULL OR f.ContractedUnitPrice IS NULL) AS unpriced,
        IF(f.ServiceCategory = 'Other' AND f.ServiceName != 'Invoice', f.ServiceName, NULL) AS uncategorized
      FROM x_staging_focus_cost_daily AS f
      LEFT JOIN (
        SELECT a.category, subcategory
        FROM UNNEST([
          STRUCT('AI and Machine Learning' AS category, [
            'AI Platforms', 'Bots', 'Generative AI', 'Machine Learning', 'Natural Language Processing',
            'Other (AI and Machine Learning)'] AS subcategories),
          ('Analytics', [
            'Analytics Platforms', 'Business Intelligence', 'Data Processing', 'Search', 'Streaming Analytics', 'Other (Analytics)']),
          ('Business Applications', ['Productivity and Collaboration', 'Other (Business Applications)']),
          ('Compute', ['Containers', 'End User Computing', 'Quantum Compute', 'Serverless Compute', 'Virtual Machines', 'Other (Compute)']),
          ('Databases', [
            'Caching', 'Data Warehouses', 'Ledger Databases', 'NoSQL Databases', 'Relational Databases', 'Time Series Databases',
            'Other (Databases)']),
          ('Developer Tools', [
            'Developer Platforms', 'Continuous Integration and Deployment', 'Development Environments', 'Source Code Management',
            'Quality Assurance', 'Other (Developer Tools)']),
          ('Identity', ['Identity and Access Management', 'Other (Identity)']),
          ('Integration', ['API Management', 'Messaging', 'Workflow Orchestration', 'Other (Integration)']),
          ('Internet of Things', ['IoT Analytics', 'IoT Platforms', 'Other (Internet of Things)']),
          ('Management and Governance', [
            'Architecture', 'Compliance', 'Cost Management', 'Data Governance', 'Disaster Recovery', 'Endpoint Management', 'Observability',
            'Support', 'Other (Management and Governance)']),
          ('Media', ['Content Creation', 'Gaming', 'Media Streaming', 'Mixed Reality', 'Other (Media)']),
          ('Migration', ['Data Migration', 'Resource Migration', 'Other (Migration)']),
          ('Mobile', ['Other (Mobile)']),
          ('Multicloud', ['Multicloud Integration', 'Other (Multicloud)']),
          ('Networking', [
            'Application Networking', 'Content Delivery', 'Network Connectivity', 'Network Infrastructure', 'Network Routing',
            'Network Security', 'Other (Networking)']),
          ('Security', ['Secret Management', 'Security Posture Management', 'Threat Detection and Response', 'Other (Security)']),
          ('Storage', ['Backup Storage', 'Block Storage', 'File Storage', 'Object Storage', 'Storage Platforms', 'Other (Storage)']),
          ('Web', ['Application Platforms', 'Other (Web)']),
          ('Other', ['Other (Other)'])
        ]) AS a
        CROSS JOIN UNNEST(a.subcategories) AS subcategory
      ) AS allowed ON allowed.category = f.ServiceCategory AND allowed.subcategory = f.ServiceSubcategory
    ) AS f
  ) AS r
  CROSS JOIN (
    SELECT
      IFNULL(SUM(IF(ABS(d.billed - d.net_cost) <= GREATEST(0.005, 1e-9 * ABS(d.net_cost)), 0, d.staged)), 0) AS billed_off,
      IFNULL(SUM(IF(ABS(d.effective - d.net_cost) <= GREATEST(0.005, 1e-9 * ABS(d.net_cost)), 0, d.staged)), 0) AS effective_off,
      IFNULL(SUM(IF(ABS(d.contracted - d.cost) <= GREATEST(0.005, 1e-9 * ABS(d.cost)), 0, d.staged)), 0) AS contracted_off,
      IFNULL(SUM(IF(ABS(d.listed - d.list_cost) <= GREATEST(0.005, 1e-9 * ABS(d.list_cost)), 0, d.staged)), 0) AS listed_off,
      STRING_AGG(CONCAT(d.currency, ' ', FORMAT('%.2f', d.billed)), ', ' ORDER BY d.currency) AS billed,
      STRING_AGG(CONCAT(d.currency, ' ', FORMAT('%.2f', d.effective)), ', ' ORDER BY d.currency) AS effective,
      STRING_AGG(CONCAT(d.currency, ' ', FORMAT('%.2f', d.contracted)), ', ' ORDER BY d.currency) AS contracted,
      STRING_AGG(CONCAT(d.currency, ' ', FORMAT('%.2f', d.listed)), ', ' ORDER BY d.currency) AS listed
    FROM (
      SELECT
        COALESCE(f.currency, source.currency, 'no currency') AS currency, GREATEST(IFNULL(f.staged, 0), 1) AS staged,
        IFNULL(f.billed, 0) AS billed, IFNULL(f.effective, 0) AS effective,
        IFNULL(f.contracted, 0) AS contracted, IFNULL(f.listed, 0) AS listed,
        IFNULL(source.net_cost, 0) AS net_cost, IFNULL(source.cost, 0) AS cost, IFNULL(source.list_cost, 0) AS list_cost
      FROM UNNEST(@source_sums) AS source
      FULL OUTER JOIN (
        SELECT
          f.BillingCurrency AS currency, COUNT(*) AS staged,
          SUM(f.BilledCost) AS billed, SUM(f.EffectiveCost) AS effective, SUM(f.ContractedCost) AS contracted, SUM(f.ListCost) AS listed
        FROM x_staging_focus_cost_daily AS f
        GROUP BY f.BillingCurrency
      ) AS f ON IFNULL(f.currency, '') = IFNULL(source.currency, '')
    ) AS d
  ) AS t
) AS m
CROSS JOIN UNNEST(m.checks) AS c
