-- The SQL of focus.yml. x_staging_focus_cost_daily stands for the run's own staging table, which has the columns of focus_cost_daily.
-- FOCUS columns that nothing in billing_cost_daily tells are not named here, and so NULL: docs/focus.md lists them, and each column's rule.

-- name: focus_stage
-- Rows and sums of the source are taken in the transaction that fills the staging table: one snapshot, also while gcp/cost/billing replaces
-- the days. Replayed, it replaces what it has staged; of two at once BigQuery cancels one, as both delete.
-- A day is loaded if it has rows, or if a run of gcp/cost/billing that began after the day was over (UTC) has completed for it: then the
-- export has none. A run that began earlier has seen a part of the day only.
-- An invoice month begins at midnight in Pacific time (Cloud Billing, "Understand the billing export data": invoice.month), and so an
-- adjustment of usage of an earlier month corrects an invoice that was already written.
-- `source` is a row of billing_cost_daily, with what its texts and lists say; what follows from that, step by step, stands beside it:
-- whether it is about a commitment, what kind of charge it is, what it costs, and at what prices.
-- param: tenant_id STRING
-- param: first_day DATE
-- param: last_day DATE
-- param: invoice_issuer STRING
-- param: billing_account_name STRING
-- param: loaded_at TIMESTAMP
-- param: pipeline_logging_id STRING
DECLARE rows_staged, source_rows INT64;
DECLARE source_sums ARRAY<STRUCT<currency STRING, invoice_month STRING, net_cost FLOAT64, contracted_cost FLOAT64, list_cost FLOAT64>>;
DECLARE days_not_loaded ARRAY<DATE>;
-- Google renames services and keeps their ids. A service is looked up by its id; one without an id here by its name, in lower case and
-- without Google's and Cloud's before it: Cloud Dataflow and Dataflow are one.
DECLARE services ARRAY<STRUCT<id STRING, name STRING, category STRING, subcategory STRING>> DEFAULT [
  STRUCT('6F81-5844-456A' AS id, 'compute engine' AS name, 'Compute' AS category, 'Virtual Machines' AS subcategory),
  ('152E-C115-5142', 'run', 'Compute', 'Serverless Compute'),
  ('29E7-DA93-CA13', 'run functions', 'Compute', 'Serverless Compute'),
  (NULL, 'functions', 'Compute', 'Serverless Compute'),
  ('CCD8-9BF1-090E', 'kubernetes engine', 'Compute', 'Containers'),
  (NULL, 'vmware engine', 'Compute', 'Virtual Machines'),
  (NULL, 'bare metal solution', 'Compute', 'Other (Compute)'),
  (NULL, 'batch', 'Compute', 'Other (Compute)'),
  ('F17B-412E-CB64', 'app engine', 'Web', 'Application Platforms'),
  (NULL, 'firebase hosting', 'Web', 'Application Platforms'),
  (NULL, 'firebase app hosting', 'Web', 'Application Platforms'),
  (NULL, 'firebase', 'Mobile', 'Other (Mobile)'),
  ('95FF-2EF5-5EA1', 'storage', 'Storage', 'Object Storage'),
  ('D97E-AB26-5D95', 'filestore', 'Storage', 'File Storage'),
  (NULL, 'netapp volumes', 'Storage', 'File Storage'),
  (NULL, 'managed lustre', 'Storage', 'File Storage'),
  (NULL, 'backup and dr service', 'Storage', 'Backup Storage'),
  (NULL, 'backup for gke', 'Storage', 'Backup Storage'),
  ('24E6-581D-38E5', 'bigquery', 'Databases', 'Data Warehouses'),
  ('16B8-3DDA-9F10', 'bigquery reservation api', 'Databases', 'Data Warehouses'),
  ('650B-3C82-34DB', 'bigquery storage api', 'Databases', 'Data Warehouses'),
  ('9662-B51E-5089', 'sql', 'Databases', 'Relational Databases'),
  ('CC63-0873-48FD', 'spanner', 'Databases', 'Relational Databases'),
  ('C49F-B7F2-7416', 'alloydb', 'Databases', 'Relational Databases'),
  (NULL, 'alloydb for postgresql', 'Databases', 'Relational Databases'),
  ('C3BE-24A5-0975', 'bigtable', 'Databases', 'NoSQL Databases'),
  (NULL, 'datastore', 'Databases', 'NoSQL Databases'),
  ('EE2C-7FAC-5E08', 'firestore', 'Databases', 'NoSQL Databases'),
  (NULL, 'firebase realtime database', 'Databases', 'NoSQL Databases'),
  ('5AF5-2C11-D467', 'memorystore for redis', 'Databases', 'Caching'),
  (NULL, 'memorystore for redis cluster', 'Databases', 'Caching'),
  (NULL, 'memorystore for valkey', 'Databases', 'Caching'),
  (NULL, 'memorystore for memcached', 'Databases', 'Caching'),
  (NULL, 'memorystore', 'Databases', 'Caching'),
  (NULL, 'bigquery bi engine', 'Analytics', 'Business Intelligence'),
  (NULL, 'looker', 'Analytics', 'Business Intelligence'),
  (NULL, 'looker studio', 'Analytics', 'Business Intelligence'),
  (NULL, 'bigquery data transfer service', 'Analytics', 'Data Processing'),
  (NULL, 'data fusion', 'Analytics', 'Data Processing'),
  (NULL, 'dataflow', 'Analytics', 'Data Processing'),
  ('363B-8851-170D', 'dataproc', 'Analytics', 'Data Processing'),
  (NULL, 'managed service for apache spark', 'Analytics', 'Data Processing'),
  (NULL, 'managed service for apache kafka', 'Integration', 'Messaging'),
  (NULL, 'datastream', 'Integration', 'Other (Integration)'),
  ('A1E8-BE35-7EBC', 'pub/sub', 'Integration', 'Messaging'),
  (NULL, 'pub/sub lite', 'Integration', 'Messaging'),
  (NULL, 'tasks', 'Integration', 'Messaging'),
  (NULL, 'eventarc', 'Integration', 'Messaging'),
  (NULL, 'apigee', 'Integration', 'API Management'),
  ('36A9-155B-23F0', 'api gateway', 'Integration', 'API Management'),
  (NULL, 'endpoints', 'Integration', 'API Management'),
  (NULL, 'composer', 'Integration', 'Workflow Orchestration'),
  (NULL, 'managed service for apache airflow', 'Integration', 'Workflow Orchestration'),
  ('1F14-4801-0E16', 'scheduler', 'Integration', 'Workflow Orchestration'),
  (NULL, 'workflows', 'Integration', 'Workflow Orchestration'),
  ('E505-1604-58F8', 'networking', 'Networking', 'Network Infrastructure'),
  (NULL, 'network connectivity', 'Networking', 'Network Connectivity'),
  (NULL, 'interconnect', 'Networking', 'Network Connectivity'),
  (NULL, 'load balancing', 'Networking', 'Application Networking'),
  (NULL, 'armor', 'Networking', 'Network Security'),
  ('FA26-5236-B8B5', 'dns', 'Networking', 'Network Routing'),
  (NULL, 'cdn', 'Networking', 'Content Delivery'),
  (NULL, 'media cdn', 'Networking', 'Content Delivery'),
  (NULL, 'vpn', 'Networking', 'Network Connectivity'),
  ('C7E2-9256-1C43', 'vertex ai', 'AI and Machine Learning', 'AI Platforms'),
  (NULL, 'ai platform', 'AI and Machine Learning', 'AI Platforms'),
  ('AEFD-7695-64FA', 'gemini api', 'AI and Machine Learning', 'Generative AI'),
  (NULL, 'gemini', 'AI and Machine Learning', 'Generative AI'),
  (NULL, 'gemini enterprise', 'AI and Machine Learning', 'Generative AI'),
  (NULL, 'gemini code assist', 'AI and Machine Learning', 'Generative AI'),
  (NULL, 'duet ai', 'AI and Machine Learning', 'Generative AI'),
  (NULL, 'natural language api', 'AI and Machine Learning', 'Natural Language Processing'),
  (NULL, 'translate', 'AI and Machine Learning', 'Natural Language Processing'),
  (NULL, 'translation', 'AI and Machine Learning', 'Natural Language Processing'),
  (NULL, 'translation api', 'AI and Machine Learning', 'Natural Language Processing'),
  (NULL, 'dialogflow api', 'AI and Machine Learning', 'Bots'),
  (NULL, 'document ai api', 'AI and Machine Learning', 'Machine Learning'),
  (NULL, 'document ai', 'AI and Machine Learning', 'Machine Learning'),
  (NULL, 'speech api', 'AI and Machine Learning', 'Machine Learning'),
  (NULL, 'speech-to-text', 'AI and Machine Learning', 'Machine Learning'),
  (NULL, 'text-to-speech api', 'AI and Machine Learning', 'Machine Learning'),
  (NULL, 'vision api', 'AI and Machine Learning', 'Machine Learning'),
  (NULL, 'video intelligence api', 'AI and Machine Learning', 'Machine Learning'),
  ('5490-F7B7-8DF6', 'logging', 'Management and Governance', 'Observability'),
  ('58CD-E7C3-72CA', 'monitoring', 'Management and Governance', 'Observability'),
  (NULL, 'stackdriver monitoring', 'Management and Governance', 'Observability'),
  (NULL, 'trace', 'Management and Governance', 'Observability'),
  (NULL, 'observability', 'Management and Governance', 'Observability'),
  (NULL, 'dataplex', 'Management and Governance', 'Data Governance'),
  (NULL, 'dataplex universal catalog', 'Management and Governance', 'Data Governance'),
  (NULL, 'data catalog', 'Management and Governance', 'Data Governance'),
  ('5E18-9A83-2867', 'vm manager', 'Management and Governance', 'Other (Management and Governance)'),
  ('2062-016F-44A2', 'support', 'Management and Governance', 'Support'),
  (NULL, 'key management service (kms)', 'Security', 'Secret Management'),
  (NULL, 'key management service', 'Security', 'Secret Management'),
  ('EE82-7A5E-871C', 'secret manager', 'Security', 'Secret Management'),
  ('FBF2-FC68-171A', 'security command center', 'Security', 'Security Posture Management'),
  (NULL, 'ids', 'Security', 'Threat Detection and Response'),
  (NULL, 'recaptcha enterprise', 'Security', 'Threat Detection and Response'),
  (NULL, 'recaptcha', 'Security', 'Threat Detection and Response'),
  (NULL, 'chronicle', 'Security', 'Threat Detection and Response'),
  (NULL, 'security operations', 'Security', 'Threat Detection and Response'),
  (NULL, 'certificate authority service', 'Security', 'Other (Security)'),
  (NULL, 'sensitive data protection', 'Security', 'Other (Security)'),
  (NULL, 'identity platform', 'Identity', 'Identity and Access Management'),
  (NULL, 'build', 'Developer Tools', 'Continuous Integration and Deployment'),
  (NULL, 'deploy', 'Developer Tools', 'Continuous Integration and Deployment'),
  ('149C-F9EC-3994', 'artifact registry', 'Developer Tools', 'Developer Platforms'),
  (NULL, 'container registry', 'Developer Tools', 'Developer Platforms'),
  (NULL, 'container registry vulnerability scanning', 'Developer Tools', 'Quality Assurance'),
  ('CAE2-A537-4A95', 'source repository', 'Developer Tools', 'Source Code Management'),
  (NULL, 'workstations', 'Developer Tools', 'Development Environments'),
  (NULL, 'transcoder api', 'Media', 'Content Creation'),
  (NULL, 'live stream api', 'Media', 'Media Streaming'),
  (NULL, 'database migration service', 'Migration', 'Data Migration'),
  (NULL, 'storage transfer service', 'Migration', 'Data Migration'),
  (NULL, 'workspace', 'Business Applications', 'Productivity and Collaboration'),
  (NULL, 'invoice', 'Other', 'Other (Other)')
];
BEGIN TRANSACTION;
DELETE FROM x_staging_focus_cost_daily WHERE TRUE;
INSERT INTO x_staging_focus_cost_daily (
  x_UsageDate, AvailabilityZone, BilledCost, BillingAccountId, BillingAccountName, BillingAccountType, BillingCurrency,
  BillingPeriodStart, BillingPeriodEnd,
  CapacityReservationId, CapacityReservationStatus,
  ChargeCategory, ChargeClass, ChargeDescription, ChargeFrequency, ChargePeriodStart, ChargePeriodEnd,
  CommitmentDiscountId, CommitmentDiscountName, CommitmentDiscountCategory, CommitmentDiscountType, CommitmentDiscountStatus,
  CommitmentDiscountQuantity, CommitmentDiscountUnit,
  ConsumedQuantity, ConsumedUnit, ContractedCost, ContractedUnitPrice, EffectiveCost, InvoiceIssuerName, ListCost, ListUnitPrice,
  PricingCategory, PricingCurrency, PricingCurrencyContractedUnitPrice, PricingCurrencyEffectiveCost, PricingCurrencyListUnitPrice,
  PricingQuantity, PricingUnit, ProviderName, PublisherName, RegionId, RegionName,
  ResourceId, ResourceName, ResourceType, ServiceCategory, ServiceName, ServiceSubcategory,
  SkuId, SkuMeter, SkuPriceId, SkuPriceDetails, SubAccountId, SubAccountName, SubAccountType, Tags,
  x_CostType, x_CreditsTotal, x_CurrencyConversionRate, x_InvoiceMonth, x_Location, x_ProjectNumber, x_ServiceId, x_SystemLabels,
  x_LoadedAt, x_PipelineLoggingId,
  x_Provider, x_SourceId, x_FocusVersion, x_NetCost, x_CostAtEffectivePriceDefault, x_CostAtListConsumptionModel,
  x_ConsumptionModelId, x_ConsumptionModelDescription, x_SubscriptionInstanceId, x_PublisherType, x_Credits, x_ProviderColumns
)
WITH tagged AS (
  -- Rows of one resource have the same list of tags: each list is read once.
  SELECT k.tags, STRING_AGG(CONCAT(TO_JSON_STRING(k.key), ':', k.value), ',' ORDER BY k.key) AS pairs
  FROM (
    SELECT
      list.tags, CONCAT('tag/', IFNULL(CONCAT(NULLIF(JSON_VALUE(one, '$.namespace'), ''), '/'), ''), JSON_VALUE(one, '$.key')) AS key,
      -- Of a key that stands twice the resource's own value counts, before one that it inherits.
      ARRAY_AGG(TO_JSON_STRING(JSON_VALUE(one, '$.value')) ORDER BY JSON_VALUE(one, '$.inherited') = 'true', place LIMIT 1)[OFFSET(0)] AS value
    FROM (
      SELECT DISTINCT TO_JSON_STRING(b.tags) AS tags
      FROM billing_cost_daily AS b
      WHERE b.usage_date BETWEEN @first_day AND @last_day
    ) AS list
    CROSS JOIN UNNEST(JSON_QUERY_ARRAY(list.tags)) AS one WITH OFFSET AS place
    WHERE JSON_VALUE(one, '$.key') != ''
    GROUP BY list.tags, key
  ) AS k
  GROUP BY k.tags
),
source AS (
  SELECT
    b.usage_date, b.billing_account_id, b.service_id, b.service_description, b.sku_id, b.sku_description, b.usage_start_time,
    b.usage_end_time, b.project_id, b.project_name, b.project_number, b.location, b.region, b.zone, b.resource_name,
    IFNULL(b.resource_global_name, b.resource_name) AS resource_id,
    b.usage_amount, b.usage_unit, b.usage_pricing_unit,
    IF(b.usage_pricing_unit IS NULL, NULL, b.usage_amount_in_pricing_units) AS priced_amount,
    b.cost, b.credits_total, b.net_cost, b.cost_at_list, b.cost_at_effective_price_default, b.cost_at_list_consumption_model,
    b.price_list_price, b.price_effective_price, b.price_effective_price_default, b.price_tier_start_amount,
    IF(b.price_pricing_unit_quantity > 0, b.price_pricing_unit_quantity, 1) AS price_units,
    b.currency, b.currency_conversion_rate,
    -- Google prices in US dollars; the rate is what it made another currency with.
    IF(b.currency != 'USD' AND b.currency_conversion_rate > 0, b.currency_conversion_rate, NULL) AS rate,
    IFNULL(b.cost_type, 'regular') AS cost_type, b.cost_type AS exported_cost_type, b.invoice_month, b.invoice_publisher_type,
    FORMAT_TIMESTAMP('%Y%m', b.usage_start_time, 'America/Los_Angeles') AS usage_month,
    b.consumption_model_id, b.consumption_model_description, b.subscription_instance_id, b.seller_name,
    b.adjustment_info_type, b.adjustment_info_description,
    b.cost_type = 'adjustment' OR COALESCE(b.adjustment_info_id, b.adjustment_info_type, b.adjustment_info_mode) IS NOT NULL AS is_adjustment,
    IF(b.transaction_type IS NULL, IFNULL(NOT STARTS_WITH(b.seller_name, 'Google'), FALSE), STARTS_WITH(b.transaction_type, 'THIRD_PARTY'))
      AS is_third_party,
    -- Without a consumption model a row is older than they are, and so of the default one.
    IF(
      b.consumption_model_description IS NULL,
      IFNULL(b.consumption_model_id != '7754-699E-0EBF', FALSE),
      LOWER(b.consumption_model_description) != 'default') AS has_committed_price,
    REGEXP_CONTAINS(TO_JSON_STRING(b.credits), r'"type":"COMMITTED_USAGE_DISCOUNT(_DOLLAR_BASE)?"') AS has_commitment_credit,
    REGEXP_CONTAINS(TO_JSON_STRING(b.credits), r'"type":"FEE_UTILIZATION_OFFSET"')
      OR IFNULL(REGEXP_CONTAINS(b.sku_description, r'(?i)^commitment\b'), FALSE)
      OR IFNULL(b.sku_id IN ('5515-81A8-03A2', 'B22F-51BE-D599'), FALSE) AS is_fee_sku,
    -- Machines are committed to by the core and the like ("Commitment v1: N2 Cpu ..."), all else by the money that is spent on it.
    IFNULL(REGEXP_CONTAINS(b.sku_description, r'(?i)^commitment( v\d+)?:'), FALSE) AS commits_resources,
    IFNULL(REGEXP_CONTAINS(b.sku_description, r'(?i)\b(spot|preemptible)\b'), FALSE) AS is_spot_sku,
    IFNULL(b.service_id = '2062-016F-44A2', FALSE)
      OR IFNULL(REGEXP_CONTAINS(b.service_description, r'(?i)^((google )?cloud )?((standard|enhanced|premium) )?support$'), FALSE)
      OR IFNULL(REGEXP_CONTAINS(b.service_description, r'(?i)^google workspace\b'), FALSE)
      -- A subscription of Pub/Sub is no contract, but a reader of a topic; and usage `under subscription` is metered.
      OR IFNULL(REGEXP_CONTAINS(b.sku_description, r'(?i)\bsubscription\b'), FALSE)
        AND NOT IFNULL(REGEXP_CONTAINS(b.sku_description, r'(?i)\bunder (a )?subscription\b'), FALSE)
        AND NOT IFNULL(REGEXP_CONTAINS(b.service_description, r'(?i)pub/sub'), FALSE) AS is_flat_fee,
    LOWER(REGEXP_REPLACE(b.service_description, r'(?i)^(google )?(cloud )?', '')) AS service_key,
    JSON_VALUE(b.system_labels, '$."compute.googleapis.com/reservation_name"') AS reservation_name,
    IFNULL(JSON_VALUE(b.system_labels, '$."compute.googleapis.com/reservation_project_id"'), b.project_id) AS reservation_project,
    IFNULL(JSON_VALUE(b.system_labels, '$."compute.googleapis.com/is_unused_reservation"') = 'true', FALSE) AS is_unused_reservation,
    -- An object of JSON is its pairs in braces; '{}' and NULL have none. Google's label keys have no `/` but what GKE puts before them
    -- (`k8s-label/`), and its system labels carry their service's name, so that no key of one scheme is one of another.
    PARSE_JSON(CONCAT('{', IFNULL(ARRAY_TO_STRING([
      REGEXP_EXTRACT(TO_JSON_STRING(b.labels), r'^\{(.+)\}$'),
      REGEXP_REPLACE(
        REGEXP_EXTRACT(TO_JSON_STRING(b.project_labels), r'^\{(.+)\}$'),
        r'"((?:[^"\\]|\\.)*)":("(?:[^"\\]|\\.)*"|[^",]+)', r'"project/\1":\2'),
      tagged.pairs,
      REGEXP_EXTRACT(TO_JSON_STRING(b.system_labels), r'^\{(.+)\}$')
    ], ','), ''), '}')) AS tags,
    b.system_labels, b.credits, b.other_columns
  FROM billing_cost_daily AS b
  LEFT JOIN tagged ON tagged.tags = TO_JSON_STRING(b.tags)
  WHERE b.usage_date BETWEEN @first_day AND @last_day
)
SELECT
  s.usage_date, s.zone, SAFE_CAST(s.net_cost AS NUMERIC), s.billing_account_id, @billing_account_name, 'Billing Account', s.currency,
  TIMESTAMP(charge.billing_month, 'America/Los_Angeles'), TIMESTAMP(DATE_ADD(charge.billing_month, INTERVAL 1 MONTH), 'America/Los_Angeles'),
  charge.reservation_id,
  IF(charge.reservation_id IS NULL OR charge.category != 'Usage', NULL, IF(s.is_unused_reservation, 'Unused', 'Used')),
  charge.category,
  IF(
    s.is_adjustment AND s.usage_month < s.invoice_month
      AND IFNULL(s.adjustment_info_type, '') NOT IN ('GOODWILL', 'SALES_BASED_GOODWILL', 'BALANCE_TRANSFER'),
    'Correction', NULL),
  COALESCE(s.adjustment_info_description, s.sku_description, s.service_description),
  CASE charge.category WHEN 'Usage' THEN 'Usage-Based' WHEN 'Purchase' THEN 'Recurring' ELSE 'One-Time' END,
  s.usage_start_time, s.usage_end_time,
  charge.commitment_id,
  IF(charge.commitment_id IS NULL, NULL, IF(commitment.is_fee, s.sku_description, s.consumption_model_description)),
  IF(charge.commitment_id IS NULL, NULL, IF(s.commits_resources, 'Usage', 'Spend')),
  IF(charge.commitment_id IS NULL, NULL, IF(s.commits_resources, 'Resource-based CUD', 'Spend-based CUD')),
  IF(charge.commitment_id IS NULL OR charge.category != 'Usage', NULL, 'Used'),
  IF(charge.commitment_id IS NULL OR NOT money.is_priced, NULL, IF(s.commits_resources, s.priced_amount, s.cost)),
  IF(
    charge.commitment_id IS NULL OR NOT money.is_priced OR s.commits_resources AND s.priced_amount IS NULL,
    NULL, IF(s.commits_resources, s.usage_pricing_unit, s.currency)),
  IF(charge.category = 'Usage' AND s.usage_unit IS NOT NULL, s.usage_amount, NULL),
  IF(charge.category = 'Usage' AND s.usage_amount IS NOT NULL, s.usage_unit, NULL),
  SAFE_CAST(money.contracted AS NUMERIC), IF(price.contracted >= 0, price.contracted, NULL),
  SAFE_CAST(s.net_cost AS NUMERIC), @invoice_issuer,
  SAFE_CAST(money.listed AS NUMERIC), IF(price.listed >= 0, price.listed, NULL),
  CASE
    WHEN charge.category = 'Purchase' THEN 'Standard'
    WHEN charge.category != 'Usage' THEN NULL
    WHEN commitment.is_committed THEN 'Committed'
    WHEN s.is_spot_sku AND NOT s.is_third_party THEN 'Dynamic'
    ELSE 'Standard'
  END,
  IF(s.rate IS NULL, s.currency, 'USD'), IF(price.contracted >= 0, price.contracted / IFNULL(s.rate, 1), NULL),
  SAFE_CAST(s.net_cost / IFNULL(s.rate, 1) AS NUMERIC), IF(price.listed >= 0, price.listed / IFNULL(s.rate, 1), NULL),
  IF(money.is_priced, s.priced_amount, NULL), IF(money.is_priced AND s.priced_amount IS NOT NULL, s.usage_pricing_unit, NULL),
  'Google Cloud', IF(s.is_third_party, COALESCE(s.seller_name, s.service_description, 'Google Cloud'), 'Google Cloud'), s.region, s.region,
  charge.resource_id, NULLIF(IF(commitment.is_fee, NULL, s.resource_name), charge.resource_id),
  CASE
    WHEN charge.resource_id IS NULL THEN NULL
    WHEN commitment.is_fee AND charge.commitment_id IS NOT NULL THEN 'Commitment'
    ELSE COALESCE(REGEXP_EXTRACT(charge.resource_id, r'/([^/]+)/[^/]+$'), s.service_description, s.service_id, 'Unspecified')
  END,
  COALESCE(by_id.category, by_name.category, 'Other'), COALESCE(s.service_description, s.service_id, 'Unspecified'),
  COALESCE(by_id.subcategory, by_name.subcategory, 'Other (Other)'),
  IF(charge.category = 'Tax', NULL, s.sku_id), IF(charge.category = 'Tax' OR s.sku_id IS NULL, NULL, s.sku_description),
  IF(
    money.is_priced,
    CONCAT(
      s.sku_id, '/', IF(s.has_committed_price, IFNULL(s.consumption_model_id, s.consumption_model_description), 'default'), '/',
      CAST(IFNULL(s.price_tier_start_amount, 0) AS STRING)),
    NULL),
  IF(
    money.is_priced AND s.sku_id IS NOT NULL AND COALESCE(s.consumption_model_description, CAST(s.price_tier_start_amount AS STRING)) IS NOT NULL,
    JSON_STRIP_NULLS(JSON_OBJECT(
      'x_ConsumptionModel', s.consumption_model_description, 'x_TierStartAmount', s.price_tier_start_amount)),
    NULL),
  s.project_id, IF(s.project_id IS NULL, NULL, IFNULL(s.project_name, s.project_id)), IF(s.project_id IS NULL, NULL, 'Project'), s.tags,
  s.exported_cost_type, SAFE_CAST(s.credits_total AS NUMERIC), s.currency_conversion_rate, s.invoice_month, s.location, s.project_number,
  s.service_id, s.system_labels, @loaded_at, @pipeline_logging_id,
  'GCP', CONCAT('GCP/', s.billing_account_id), '1.2', SAFE_CAST(s.net_cost AS NUMERIC),
  SAFE_CAST(s.cost_at_effective_price_default AS NUMERIC), SAFE_CAST(s.cost_at_list_consumption_model AS NUMERIC),
  s.consumption_model_id, s.consumption_model_description, s.subscription_instance_id, s.invoice_publisher_type, s.credits, s.other_columns
FROM source AS s
CROSS JOIN UNNEST([STRUCT(
  s.has_committed_price OR s.has_commitment_credit AS is_committed,
  (s.is_fee_sku OR s.subscription_instance_id IS NOT NULL)
    AND NOT (s.has_committed_price OR s.has_commitment_credit OR s.is_flat_fee OR s.is_third_party) AS is_fee
)]) AS commitment
CROSS JOIN UNNEST([STRUCT(
  CASE
    WHEN s.cost_type = 'tax' THEN 'Tax'
    WHEN s.cost_type != 'regular' THEN 'Adjustment'
    WHEN s.cost = 0 AND s.credits_total != 0 AND IFNULL(s.usage_amount, 0) = 0 THEN 'Credit'
    WHEN commitment.is_committed THEN 'Usage'
    WHEN commitment.is_fee OR s.is_flat_fee OR s.is_third_party AND s.subscription_instance_id IS NOT NULL THEN 'Purchase'
    ELSE 'Usage'
  END AS category,
  IF(commitment.is_fee OR s.has_committed_price, s.subscription_instance_id, NULL) AS commitment_id,
  IF(commitment.is_fee, IFNULL(s.subscription_instance_id, s.resource_id), s.resource_id) AS resource_id,
  IF(
    s.reservation_name IS NULL,
    IF(s.is_unused_reservation, s.resource_id, NULL),
    CONCAT(
      '//compute.googleapis.com/', IFNULL(CONCAT('projects/', s.reservation_project, '/'), ''), IFNULL(CONCAT('zones/', s.zone, '/'), ''),
      'reservations/', s.reservation_name)) AS reservation_id,
  SAFE.PARSE_DATE('%Y%m', IFNULL(s.invoice_month, s.usage_month)) AS billing_month
)]) AS charge
CROSS JOIN UNNEST([STRUCT(
  IF(charge.category IN ('Usage', 'Purchase'), IFNULL(s.cost_at_effective_price_default, s.cost), s.net_cost) AS contracted,
  IF(charge.category IN ('Usage', 'Purchase'), COALESCE(s.cost_at_list, s.cost_at_effective_price_default, s.cost), s.net_cost) AS listed,
  charge.category IN ('Usage', 'Purchase') AS is_priced
)]) AS money
CROSS JOIN UNNEST([STRUCT(
  -- A quantity of 0 has a price all the same. `effective_price` is the committed one where there is one.
  IF(
    money.is_priced,
    IF(
      s.priced_amount = 0,
      COALESCE(s.price_effective_price_default, IF(s.has_committed_price, NULL, s.price_effective_price)) / s.price_units,
      SAFE_DIVIDE(money.contracted, s.priced_amount)),
    NULL) AS contracted,
  IF(money.is_priced, IF(s.priced_amount = 0, s.price_list_price / s.price_units, SAFE_DIVIDE(money.listed, s.priced_amount)), NULL) AS listed
)]) AS price
LEFT JOIN UNNEST(services) AS by_id ON by_id.id = s.service_id
LEFT JOIN UNNEST(services) AS by_name ON by_name.name = s.service_key;
SET rows_staged = @@row_count;
SET source_rows = (SELECT COUNT(*) FROM billing_cost_daily AS b WHERE b.usage_date BETWEEN @first_day AND @last_day);
-- What each row has to come to, from the row alone: whatever is priced counts before credits, at its price without a commitment and at its
-- list price; what is not (a tax, an adjustment, a credit without usage) is what it is billed as.
SET source_sums = ARRAY(
  SELECT AS STRUCT
    e.currency, e.invoice_month, SUM(e.net_cost) AS net_cost,
    SUM(IF(e.is_priced, IFNULL(e.cost_at_effective_price_default, e.cost), e.net_cost)) AS contracted_cost,
    SUM(IF(e.is_priced, COALESCE(e.cost_at_list, e.cost_at_effective_price_default, e.cost), e.net_cost)) AS list_cost
  FROM (
    SELECT
      b.currency, b.invoice_month, b.net_cost, b.cost, b.cost_at_effective_price_default, b.cost_at_list,
      IFNULL(b.cost_type, 'regular') = 'regular'
        AND (IFNULL(b.cost, 1) != 0 OR IFNULL(b.credits_total, 0) = 0 OR IFNULL(b.usage_amount, 0) != 0) AS is_priced
    FROM billing_cost_daily AS b
    WHERE b.usage_date BETWEEN @first_day AND @last_day
  ) AS e
  GROUP BY e.currency, e.invoice_month);
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
    WHERE r.pipeline_id = CONCAT(@tenant_id, '-gcp-cost-billing') AND r.status = 'COMPLETED'
      AND r.started_at >= TIMESTAMP(DATE_ADD(loaded, INTERVAL 1 DAY)))
  ORDER BY day);
COMMIT TRANSACTION;
SELECT
  rows_staged, source_rows, source_sums,
  CONCAT('gcp/cost/billing has never loaded ', (
    SELECT STRING_AGG(CAST(day AS STRING), ', ' ORDER BY day) FROM UNNEST(days_not_loaded) AS day
  ), '. Run it for these days first.') AS missing

-- name: focus_conformance
-- One pass over the staging table measures everything: a row a check, failing_rows 0 where it holds. Reads only.
-- Sums are compared for each currency and invoice month; one that is missing on either side is 0 there. Half a cent is far above what
-- rounding to NUMERIC and FLOAT64's order of adding can do, and below anything that a reader could see.
-- param: first_day DATE
-- param: last_day DATE
-- param: source_rows INT64
-- param: source_sums ARRAY<STRUCT<currency STRING, invoice_month STRING, net_cost FLOAT64, contracted_cost FLOAT64, list_cost FLOAT64>>
SELECT c.check_name, c.failing_rows, c.observed_value
FROM (
  SELECT [
    STRUCT(
      'rows_agree_with_source' AS check_name, ABS(r.staged - @source_rows) AS failing_rows, CAST(r.staged AS STRING) AS observed_value),
    STRUCT('billed_cost_agrees' AS check_name, t.billed_off AS failing_rows, t.billed AS observed_value),
    STRUCT('effective_cost_agrees' AS check_name, t.effective_off AS failing_rows, t.effective AS observed_value),
    STRUCT('contracted_cost_agrees' AS check_name, t.contracted_off AS failing_rows, t.contracted AS observed_value),
    STRUCT('list_cost_agrees' AS check_name, t.listed_off AS failing_rows, t.listed AS observed_value),
    STRUCT('unpriced_as_billed' AS check_name, r.not_as_billed AS failing_rows, CAST(r.not_as_billed AS STRING) AS observed_value),
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
      COUNTIF(f.not_as_billed) AS not_as_billed, COUNTIF(f.nulls_broken) AS nulls_broken, COUNTIF(f.unpriced) AS unpriced,
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
          IF(f.CommitmentDiscountCategory NOT IN ('Spend', 'Usage'), 'CommitmentDiscountCategory', NULL),
          IF(f.CommitmentDiscountStatus NOT IN ('Used', 'Unused'), 'CommitmentDiscountStatus', NULL),
          IF(f.CapacityReservationStatus NOT IN ('Used', 'Unused'), 'CapacityReservationStatus', NULL),
          IF(f.ChargeCategory = 'Purchase' AND f.ChargeFrequency = 'Usage-Based', 'ChargeFrequency of a Purchase', NULL),
          IF(f.ChargeCategory = 'Purchase' AND f.PricingCategory = 'Committed', 'PricingCategory of a Purchase', NULL),
          IF(allowed.category IS NULL, 'ServiceCategory with ServiceSubcategory', NULL)
        ], ', '), '') AS not_allowed,
        IF(REGEXP_CONTAINS(f.BillingCurrency, r'^[A-Z][A-Z][A-Z]$'), NULL, f.BillingCurrency) AS odd_currency,
        f.ChargePeriodEnd < f.ChargePeriodStart OR f.BillingPeriodEnd <= f.BillingPeriodStart AS periods_reversed,
        f.x_UsageDate NOT BETWEEN @first_day AND @last_day OR DATE(f.ChargePeriodStart) != f.x_UsageDate AS another_date,
        f.ListUnitPrice < 0 OR f.ContractedUnitPrice < 0 AS negative_price,
        f.ChargeCategory IN ('Tax', 'Credit', 'Adjustment') AND (f.ContractedCost != f.BilledCost OR f.ListCost != f.BilledCost) AS not_as_billed,
        f.ChargeCategory = 'Tax' AND COALESCE(f.SkuId, f.SkuMeter, f.SkuPriceId, f.PricingCategory, f.PricingUnit) IS NOT NULL
          OR f.ChargeCategory = 'Tax' AND COALESCE(f.PricingQuantity, f.ListUnitPrice, f.ContractedUnitPrice) IS NOT NULL
          OR f.ChargeCategory != 'Usage' AND f.ConsumedQuantity IS NOT NULL
          OR f.ChargeCategory IN ('Tax', 'Credit', 'Adjustment') AND f.CommitmentDiscountQuantity IS NOT NULL
          OR f.ChargeCategory = 'Usage' AND (f.CommitmentDiscountId IS NULL) != (f.CommitmentDiscountStatus IS NULL)
          OR f.ChargeCategory = 'Usage' AND (f.CapacityReservationId IS NULL) != (f.CapacityReservationStatus IS NULL)
          OR f.SkuPriceId IS NULL AND f.SkuPriceDetails IS NOT NULL
          OR f.PricingCurrency IS NULL OR f.PricingCurrencyEffectiveCost IS NULL
          OR (f.ListUnitPrice IS NULL) != (f.PricingCurrencyListUnitPrice IS NULL)
          OR (f.ContractedUnitPrice IS NULL) != (f.PricingCurrencyContractedUnitPrice IS NULL)
          OR (f.CommitmentDiscountId IS NULL) != (f.CommitmentDiscountCategory IS NULL)
          OR (f.CommitmentDiscountId IS NULL) != (f.CommitmentDiscountType IS NULL)
          OR (f.CommitmentDiscountQuantity IS NULL) != (f.CommitmentDiscountUnit IS NULL)
          OR (f.ConsumedQuantity IS NULL) != (f.ConsumedUnit IS NULL)
          OR (f.PricingQuantity IS NULL) != (f.PricingUnit IS NULL)
          OR (f.RegionId IS NULL) != (f.RegionName IS NULL)
          OR (f.ResourceId IS NULL) != (f.ResourceType IS NULL)
          OR (f.SubAccountId IS NULL) != (f.SubAccountName IS NULL)
          OR (f.SubAccountId IS NULL) != (f.SubAccountType IS NULL) AS nulls_broken,
        f.ChargeCategory IN ('Usage', 'Purchase') AND f.ChargeClass IS NULL AND (
          f.SkuId IS NULL OR f.SkuPriceId IS NULL OR f.PricingQuantity IS NULL OR f.ListUnitPrice IS NULL OR f.ContractedUnitPrice IS NULL
        ) AS unpriced,
        IF(f.ServiceCategory = 'Other' AND f.ServiceName != 'Invoice' AND f.PublisherName = f.ProviderName, f.ServiceName, NULL)
          AS uncategorized
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
      IFNULL(SUM(d.billed_off), 0) AS billed_off, IFNULL(SUM(d.effective_off), 0) AS effective_off,
      IFNULL(SUM(d.contracted_off), 0) AS contracted_off, IFNULL(SUM(d.listed_off), 0) AS listed_off,
      STRING_AGG(CONCAT(d.currency, ' ', FORMAT('%.2f', d.billed)), ', ' ORDER BY d.currency) AS billed,
      STRING_AGG(CONCAT(d.currency, ' ', FORMAT('%.2f', d.effective)), ', ' ORDER BY d.currency) AS effective,
      STRING_AGG(CONCAT(d.currency, ' ', FORMAT('%.2f', d.contracted)), ', ' ORDER BY d.currency) AS contracted,
      STRING_AGG(CONCAT(d.currency, ' ', FORMAT('%.2f', d.listed)), ', ' ORDER BY d.currency) AS listed
    FROM (
      SELECT
        p.currency, SUM(p.billed) AS billed, SUM(p.effective) AS effective, SUM(p.contracted) AS contracted, SUM(p.listed) AS listed,
        SUM(IF(ABS(p.billed - p.net_cost) <= GREATEST(0.005, 1e-9 * ABS(p.net_cost)), 0, p.staged)) AS billed_off,
        SUM(IF(ABS(p.effective - p.net_cost) <= GREATEST(0.005, 1e-9 * ABS(p.net_cost)), 0, p.staged)) AS effective_off,
        SUM(IF(ABS(p.contracted - p.contracted_cost) <= GREATEST(0.005, 1e-9 * ABS(p.contracted_cost)), 0, p.staged)) AS contracted_off,
        SUM(IF(ABS(p.listed - p.list_cost) <= GREATEST(0.005, 1e-9 * ABS(p.list_cost)), 0, p.staged)) AS listed_off
      FROM (
        SELECT
          COALESCE(f.currency, source.currency, 'no currency') AS currency, GREATEST(IFNULL(f.staged, 0), 1) AS staged,
          IFNULL(f.billed, 0) AS billed, IFNULL(f.effective, 0) AS effective,
          IFNULL(f.contracted, 0) AS contracted, IFNULL(f.listed, 0) AS listed,
          IFNULL(source.net_cost, 0) AS net_cost, IFNULL(source.contracted_cost, 0) AS contracted_cost,
          IFNULL(source.list_cost, 0) AS list_cost
        FROM UNNEST(@source_sums) AS source
        FULL OUTER JOIN (
          SELECT
            f.BillingCurrency AS currency, f.x_InvoiceMonth AS invoice_month, COUNT(*) AS staged,
            SUM(f.BilledCost) AS billed, SUM(f.EffectiveCost) AS effective, SUM(f.ContractedCost) AS contracted, SUM(f.ListCost) AS listed
          FROM x_staging_focus_cost_daily AS f
          GROUP BY f.BillingCurrency, f.x_InvoiceMonth
        ) AS f
        ON IFNULL(f.currency, '') = IFNULL(source.currency, '') AND IFNULL(f.invoice_month, '') = IFNULL(source.invoice_month, '')
      ) AS p
      GROUP BY p.currency
    ) AS d
  ) AS t
) AS m
CROSS JOIN UNNEST(m.checks) AS c
