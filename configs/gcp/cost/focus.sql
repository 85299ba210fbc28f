-- The SQL of focus.yml. The run's own staging table replaces x_staging_focus_cost_daily; it has the columns of focus_cost_daily.
-- FOCUS columns that billing_cost_daily cannot fill are not named here, so they are NULL. docs/focus.md lists them, and each column's rule.

-- name: focus_stage
-- The transaction that fills the staging table also counts and sums the source's rows. So both come from one snapshot, even while
-- gcp/cost/billing replaces the days.
-- The staging table exists, empty, before this block is sent. The block is sent again by another try of the step, or if its job died and
-- may have committed: then it replaces the staged rows.
-- A day is loaded if one of these holds:
--   - it has rows;
--   - gcp/cost/billing has published it without rows (x_meta_cost_days);
--   - a run of gcp/cost/billing has completed that began after the day was over (UTC). This covers runs from before x_meta_cost_days.
-- An invoice month begins at midnight in Pacific time (Cloud Billing, "Understand the billing export data": invoice.month). So an
-- adjustment of usage of an earlier month corrects an invoice that was already written.
-- gcp/cost/billing includes this block in its publish. There, billing_cost_daily and x_meta_cost_days stand for the rows that they will
-- hold for the run's days.
-- The variable `found` has the values for later steps, under the same names. So the last statement can measure focus_conformance.
-- Step by step (docs/focus.md has the rules):
--   - `charges`: the rows of billing_cost_daily, with what each row shows by itself.
--   - up to `recognized`: each row's kind of charge. For a commitment's fee, and for the usage that it pays: the pool in which they are
--     matched.
--   - `pools`: what follows from the sums of each pool. `source` joins rows and pools.
--   - `parts`: each source row becomes one or more parts.
--   - up to `priced`: the costs of each part.
-- param: tenant_id STRING
-- param: first_day DATE
-- param: last_day DATE
-- param: run_days ARRAY<DATE>
-- param: invoice_issuer STRING
-- param: billing_account_name STRING
-- param: loaded_at TIMESTAMP
-- param: pipeline_logging_id STRING
-- param: is_again BOOL
DECLARE rows_staged INT64;
DECLARE missing STRING;
DECLARE found STRUCT<
  billing_rows INT64,
  billing_sums ARRAY<STRUCT<day DATE, currency STRING, invoice_month STRING, row_count INT64, net_cost FLOAT64, contracted_cost FLOAT64, list_cost FLOAT64>>,
  source_versions ARRAY<STRUCT<day DATE, version INT64>>,
  not_loaded ARRAY<DATE>>;
-- Google renames services and keeps their ids. A service is looked up by its id. A service without an id here is looked up by its name, in
-- lower case and without a leading Google or Cloud: Cloud Dataflow and Dataflow are the same.
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
-- seldom: see above
IF @is_again THEN
  DELETE FROM x_staging_focus_cost_daily WHERE TRUE;
END IF;
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
  x_ConsumptionModelId, x_ConsumptionModelDescription, x_SubscriptionInstanceId, x_PublisherType, x_Credits, x_ProviderColumns,
  x_SourceRow, x_Derivation, x_CommitmentPool
)
WITH billed AS (
  -- The rows of the run's days.
  SELECT
    b.usage_date, b.billing_account_id, b.service_id, b.service_description, b.sku_id, b.sku_description, b.usage_start_time,
    b.usage_end_time, b.project_id, b.project_name, b.project_number, b.location, b.region, b.zone, b.resource_name, b.resource_global_name,
    b.labels, b.system_labels, b.usage_amount, b.usage_unit, b.usage_amount_in_pricing_units, b.usage_pricing_unit, b.cost, b.credits_total,
    b.net_cost, b.cost_at_list, b.currency, b.currency_conversion_rate, b.cost_type, b.invoice_month, b.project_labels, b.tags, b.credits,
    b.price_effective_price, b.price_tier_start_amount, b.price_pricing_unit_quantity, b.price_list_price, b.price_effective_price_default,
    b.cost_at_effective_price_default, b.cost_at_list_consumption_model, b.consumption_model_id, b.consumption_model_description,
    b.subscription_instance_id, b.transaction_type, b.seller_name, b.adjustment_info_id, b.adjustment_info_description,
    b.adjustment_info_mode, b.adjustment_info_type, b.invoice_publisher_type, b.other_columns
  FROM billing_cost_daily AS b
  WHERE b.usage_date BETWEEN @first_day AND @last_day AND b.usage_date IN UNNEST(@run_days)
),
tagged AS (
  -- Rows of one resource have the same list of tags: each list is read once.
  SELECT k.tags, STRING_AGG(CONCAT(TO_JSON_STRING(k.key), ':', k.value), ',' ORDER BY k.key) AS pairs
  FROM (
    SELECT
      list.tags, CONCAT('tag/', IFNULL(CONCAT(NULLIF(JSON_VALUE(one, '$.namespace'), ''), '/'), ''), JSON_VALUE(one, '$.key')) AS key,
      -- If a key occurs twice, the resource's own value takes precedence over an inherited value.
      ARRAY_AGG(TO_JSON_STRING(JSON_VALUE(one, '$.value')) ORDER BY JSON_VALUE(one, '$.inherited') = 'true', place LIMIT 1)[OFFSET(0)] AS value
    FROM (
      SELECT DISTINCT TO_JSON_STRING(b.tags) AS tags
      FROM billed AS b
    ) AS list
    CROSS JOIN UNNEST(JSON_QUERY_ARRAY(list.tags)) AS one WITH OFFSET AS place
    WHERE JSON_VALUE(one, '$.key') != ''
    GROUP BY list.tags, key
  ) AS k
  GROUP BY k.tags
),
typed AS (
  -- Sums of credits by type, only for lists with a type that the rules below use.
  SELECT
    list.credits,
    SUM(IF(one.type = 'PROMOTION', one.amount, 0)) AS promotion,
    MIN(IF(one.type = 'PROMOTION', one.name, NULL)) AS promotion_name,
    SUM(IF(one.type = 'FEE_UTILIZATION_OFFSET', one.amount, 0)) AS fee_offset,
    SUM(IF(one.type = 'COMMITTED_USAGE_DISCOUNT', one.amount, 0)) AS resource_credit,
    SUM(IF(one.type = 'COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE', one.amount, 0)) AS spend_credit,
    LOGICAL_OR(one.type = 'FEE_UTILIZATION_OFFSET') AS has_fee_offset,
    LOGICAL_OR(one.type IN ('COMMITTED_USAGE_DISCOUNT', 'COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE')) AS has_commitment_credit
  FROM (
    SELECT DISTINCT TO_JSON_STRING(b.credits) AS credits
    FROM billed AS b
    WHERE REGEXP_CONTAINS(TO_JSON_STRING(b.credits), r'"type":"(PROMOTION|FEE_UTILIZATION_OFFSET|COMMITTED_USAGE_DISCOUNT)')
  ) AS list
  CROSS JOIN UNNEST(JSON_QUERY_ARRAY(list.credits)) AS entry
  CROSS JOIN UNNEST([STRUCT(
    JSON_VALUE(entry, '$.type') AS type, IFNULL(SAFE_CAST(JSON_VALUE(entry, '$.amount') AS FLOAT64), 0) AS amount,
    IFNULL(JSON_VALUE(entry, '$.full_name'), JSON_VALUE(entry, '$.name')) AS name
  )]) AS one
  GROUP BY list.credits
),
charges AS (
  SELECT
    b.usage_date, b.billing_account_id, b.service_id, b.service_description, b.sku_id, b.sku_description, b.usage_start_time,
    b.usage_end_time, b.project_id, b.project_name, b.project_number, b.location, b.region, b.zone, b.resource_name,
    IFNULL(b.resource_global_name, b.resource_name) AS resource_id,
    b.usage_amount, b.usage_unit, b.usage_pricing_unit,
    IF(b.usage_pricing_unit IS NULL, NULL, b.usage_amount_in_pricing_units) AS priced_amount,
    b.cost, b.credits_total, b.net_cost, b.cost_at_list, b.cost_at_effective_price_default, b.cost_at_list_consumption_model,
    b.price_list_price, b.price_effective_price, b.price_effective_price_default, b.price_tier_start_amount,
    REGEXP_REPLACE(CAST(IFNULL(b.price_tier_start_amount, 0) AS STRING), r'\.0$', '') AS tier,
    IF(b.price_pricing_unit_quantity > 0, b.price_pricing_unit_quantity, 1) AS price_units,
    b.currency, b.currency_conversion_rate,
    -- Google's prices are in US dollars; the rate converts them into the billing currency.
    IF(b.currency != 'USD' AND b.currency_conversion_rate > 0, b.currency_conversion_rate, NULL) AS rate,
    IFNULL(b.cost_type, 'regular') AS cost_type, b.cost_type AS exported_cost_type, b.invoice_month, b.invoice_publisher_type,
    FORMAT_TIMESTAMP('%Y%m', b.usage_start_time, 'America/Los_Angeles') AS usage_month,
    b.consumption_model_id, b.consumption_model_description, b.subscription_instance_id, b.seller_name,
    b.adjustment_info_type, b.adjustment_info_description,
    IFNULL(b.cost_type = 'adjustment', FALSE)
      OR COALESCE(b.adjustment_info_id, b.adjustment_info_type, b.adjustment_info_mode) IS NOT NULL AS is_adjustment,
    IF(b.transaction_type IS NULL, IFNULL(NOT STARTS_WITH(b.seller_name, 'Google'), FALSE), STARTS_WITH(b.transaction_type, 'THIRD_PARTY'))
      AS is_third_party,
    -- A row without a consumption model is older than consumption models, so it counts as the default model.
    IF(
      b.consumption_model_description IS NULL,
      IFNULL(b.consumption_model_id != '7754-699E-0EBF', FALSE),
      LOWER(b.consumption_model_description) != 'default') AS has_committed_price,
    IFNULL(typed.promotion, 0) AS promotion, typed.promotion_name, IFNULL(typed.fee_offset, 0) AS fee_offset,
    IFNULL(typed.resource_credit, 0) AS resource_credit, IFNULL(typed.spend_credit, 0) AS spend_credit,
    IFNULL(typed.has_commitment_credit, FALSE) AS has_commitment_credit,
    IFNULL(typed.has_fee_offset, FALSE)
      OR IFNULL(REGEXP_CONTAINS(b.sku_description, r'(?i)^commitment\b'), FALSE)
      OR IFNULL(b.sku_id IN ('5515-81A8-03A2', 'B22F-51BE-D599'), FALSE) AS is_fee_sku,
    -- Commitments to machines are for resources, such as cores ("Commitment v1: N2 Cpu ..."); all others are for an amount of money.
    IFNULL(REGEXP_CONTAINS(b.sku_description, r'(?i)^commitment( v\d+)?:'), FALSE) AS commits_resources,
    IFNULL(REGEXP_CONTAINS(b.sku_description, r'(?i)\b(spot|preemptible)\b'), FALSE) AS is_spot_sku,
    IFNULL(b.service_id = '2062-016F-44A2', FALSE)
      OR IFNULL(REGEXP_CONTAINS(b.service_description, r'(?i)^((google )?cloud )?((standard|enhanced|premium) )?support$'), FALSE)
      OR IFNULL(REGEXP_CONTAINS(b.service_description, r'(?i)^google workspace\b'), FALSE)
      -- A Pub/Sub subscription reads a topic and is no contract. Usage `under subscription` is metered.
      OR IFNULL(REGEXP_CONTAINS(b.sku_description, r'(?i)\bsubscription\b'), FALSE)
        AND NOT IFNULL(REGEXP_CONTAINS(b.sku_description, r'(?i)\bunder (a )?subscription\b'), FALSE)
        AND NOT IFNULL(REGEXP_CONTAINS(b.service_description, r'(?i)pub/sub'), FALSE) AS is_flat_fee,
    b.labels, b.project_labels, b.system_labels, b.tags, b.credits, b.other_columns
  FROM billed AS b
  LEFT JOIN typed ON typed.credits = TO_JSON_STRING(b.credits)
),
commitments AS (
  SELECT
    c.*, c.has_committed_price OR c.has_commitment_credit AS is_committed,
    -- A subscription of the BigQuery Reservation API pays for slots. No other row uses them.
    (c.is_fee_sku OR c.subscription_instance_id IS NOT NULL AND IFNULL(c.service_id != '16B8-3DDA-9F10', TRUE))
      AND NOT (c.has_committed_price OR c.has_commitment_credit OR c.is_flat_fee OR c.is_third_party) AS is_fee,
    IFNULL(c.cost > 0, FALSE) AND c.cost_type = 'regular' AND NOT c.is_adjustment AS takes_part
  FROM charges AS c
),
kinds AS (
  SELECT
    c.*,
    CASE
      WHEN c.cost_type = 'tax' THEN 'Tax'
      WHEN c.cost_type != 'regular' THEN 'Adjustment'
      WHEN c.cost = 0 AND c.credits_total != 0 AND IFNULL(c.usage_amount, 0) = 0 THEN 'Credit'
      WHEN c.is_committed THEN 'Usage'
      WHEN c.is_fee OR c.is_flat_fee OR c.is_third_party AND c.subscription_instance_id IS NOT NULL THEN 'Purchase'
      ELSE 'Usage'
    END AS category,
    -- The SKU that the row's commitment pays for. Fees of the old spend-based commitments name it in a label.
    CASE
      WHEN c.spend_credit < 0 THEN IFNULL(c.sku_id, '')
      WHEN c.is_fee AND NOT c.commits_resources THEN
        IFNULL(JSON_VALUE(c.labels, '$."goog-originating-sku-id"'), JSON_VALUE(c.system_labels, '$."goog-originating-sku-id"'))
    END AS pays_for
  FROM commitments AS c
),
roles AS (
  SELECT
    c.*, c.category IN ('Usage', 'Purchase') AS is_priced,
    CASE
      WHEN NOT c.takes_part THEN NULL
      WHEN c.has_committed_price OR c.resource_credit < 0 OR c.spend_credit < 0 THEN 'use'
      WHEN c.is_fee THEN 'fee'
    END AS role,
    CASE
      WHEN NOT c.takes_part THEN NULL
      WHEN c.has_committed_price THEN 'consumption_model'
      WHEN c.resource_credit < 0 THEN 'resource_based'
      WHEN c.spend_credit < 0 THEN 'spend_based'
      WHEN NOT c.is_fee THEN NULL
      WHEN c.fee_offset < 0 THEN 'consumption_model'
      WHEN c.commits_resources THEN 'resource_based'
      WHEN c.pays_for IS NOT NULL THEN 'spend_based'
      ELSE 'consumption_model'
    END AS rule
  FROM kinds AS c
),
recognized AS (
  SELECT
    c.*,
    -- Costs move only within one hour, billing account, currency and invoice month, so the sums of each stay the same.
    IF(
      c.role IS NULL, NULL,
      CONCAT(
        FORMAT_TIMESTAMP('%Y-%m-%dT%H', c.usage_start_time), ' ', IFNULL(c.billing_account_id, ''), ' ', IFNULL(c.currency, ''), ' ',
        IFNULL(c.invoice_month, ''))) AS ledger,
    CASE c.rule
      WHEN 'consumption_model' THEN IFNULL(c.subscription_instance_id, '')
      WHEN 'spend_based' THEN c.pays_for
      -- "N2D AMD Instance Core running in Americas" and "Commitment v1: N2D AMD Cpu in Americas for 1 Year" are both `n2d core`.
      WHEN 'resource_based' THEN CONCAT(
        IFNULL(c.region, ''), '/',
        TRIM(REGEXP_REPLACE(
          REGEXP_REPLACE(
            REGEXP_REPLACE(
              REGEXP_REPLACE(
                REPLACE(LOWER(c.sku_description), 'ssd backed local storage', 'local ssd'),
                r'^commitment( v\d+)?: *| +(running in|attached to|in) .*$| +for \d+ years?$', ''),
              r'\b(n1|amd|arm|predefined|custom|extended|instance|sole tenancy|tesla|vms?)\b', ''),
            r'\bcpu\b', 'core'),
          r' +', ' ')))
    END AS pool,
    IF(c.rule = 'resource_based' AND c.role = 'use' AND c.spend_credit < 0, c.pays_for, NULL) AS second_pool,
    IF(c.rule = 'consumption_model', '', IFNULL(c.project_id, '')) AS payer,
    -- Machines without a quantity cannot be shared out, so their measure differs from the pool's.
    IF(c.rule = 'resource_based' AND NOT IFNULL(c.priced_amount > 0, FALSE), 'no quantity', c.usage_pricing_unit) AS measure,
    -- The share of a use that its commitment covers. Covered usage has either a committed price, or a credit that cancels its cost.
    CASE c.rule
      WHEN 'consumption_model' THEN 1
      WHEN 'resource_based' THEN LEAST(1, SAFE_DIVIDE(-c.resource_credit, c.cost))
      WHEN 'spend_based' THEN LEAST(1, SAFE_DIVIDE(-c.spend_credit, c.cost))
    END AS covered,
    -- The amount billed for the row, before promotions, which are a form of payment.
    c.net_cost - IF(c.is_priced, c.promotion, 0) AS kept
  FROM roles AS c
),
paid_and_used AS (
  -- Sums of a pool's fees and uses for each payer: a project, or '' for the billing account (rows without a project).
  SELECT
    e.ledger, side.rule, side.pool, e.payer,
    SUM(IF(e.role = 'use', side.used, 0)) AS used, SUM(IF(e.role = 'use', e.kept, 0)) AS used_kept,
    COUNTIF(e.role = 'fee') AS fees, SUM(IF(e.role = 'fee', e.cost, 0)) AS fee_cost,
    SUM(IF(e.role = 'fee', e.kept - e.fee_offset, 0)) AS paid, SUM(IF(e.role = 'fee', IFNULL(e.priced_amount, 0), 0)) AS bought,
    SUM(IF(e.role = 'fee', e.fee_offset, 0)) AS fee_offset, SUM(IF(e.role = 'fee', LEAST(e.kept, 0), 0)) AS overdrawn,
    COUNTIF(e.role = 'fee' AND e.subscription_instance_id IS NULL) AS unnamed,
    MIN(IF(e.role = 'fee', e.subscription_instance_id, NULL)) AS subscription,
    MAX(IF(e.role = 'fee', e.subscription_instance_id, NULL)) AS last_subscription,
    MIN(IF(e.role = 'fee', e.sku_description, NULL)) AS fee_name, MAX(IF(e.role = 'fee', e.sku_description, NULL)) AS last_fee_name,
    COUNT(*) AS ends, MIN(IFNULL(e.measure, '')) AS unit, MAX(IFNULL(e.measure, '')) AS last_unit
  FROM recognized AS e
  CROSS JOIN UNNEST([
    STRUCT(
      e.rule AS rule, e.pool AS pool,
      CASE e.rule WHEN 'consumption_model' THEN e.cost WHEN 'resource_based' THEN IFNULL(e.priced_amount, 0) * e.covered ELSE e.covered * e.cost END
        AS used),
    ('spend_based', e.second_pool, LEAST(-e.spend_credit, (1 - e.covered) * e.cost))
  ]) AS side
  WHERE e.role IS NOT NULL AND side.pool IS NOT NULL
  GROUP BY e.ledger, side.rule, side.pool, e.payer
),
pooled AS (
  SELECT
    u.ledger, u.rule, u.pool, u.payer, u.used, u.used_kept, u.fees, u.fee_cost, u.paid, u.bought, u.fee_offset, u.overdrawn, u.ends, u.left_over,
    SUM(u.fees) OVER pool AS pool_fees, SUM(u.used) OVER pool AS pool_used, SUM(u.left_over) OVER pool AS pool_left_over,
    SUM(IF(u.payer = '', u.fees, 0)) OVER pool AS account_fees, SUM(IF(u.payer = '', u.paid, 0)) OVER pool AS account_paid,
    SUM(IF(u.payer = '', u.bought, 0)) OVER pool AS account_bought,
    MIN(u.unit) OVER pool = MAX(u.last_unit) OVER pool AS one_unit,
    IF(
      SUM(u.unnamed) OVER pool = 0 AND MIN(u.subscription) OVER pool = MAX(u.last_subscription) OVER pool,
      MIN(u.subscription) OVER pool, NULL) AS subscription,
    IF(MIN(u.fee_name) OVER pool = MAX(u.last_fee_name) OVER pool, MIN(u.fee_name) OVER pool, NULL) AS fee_name
  FROM (
    -- The account's fees pay for usage beyond the project's own fees. Fees for money have no quantity: the account's fees pay for all
    -- usage.
    SELECT
      p.*,
      CASE
        WHEN p.rule = 'consumption_model' THEN 0
        WHEN p.rule = 'spend_based' OR p.payer = '' THEN p.used
        WHEN p.used > 1.001 * p.bought THEN p.used - p.bought
        ELSE 0
      END AS left_over
    FROM paid_and_used AS p
  ) AS u
  WINDOW pool AS (PARTITION BY u.ledger, u.rule, u.pool)
),
matched AS (
  SELECT
    p.*, IF(share.own >= 0.999, 1, share.own) AS own_share, IF(share.of_account >= 0.999, 1, share.of_account) AS account_share,
    CASE
      WHEN p.rule = 'consumption_model' THEN
        -- Google subtracts the used amount from a fee. Its rounding error is about 0.01 percent, or a millionth for each row.
        p.fees > 0 AND p.used_kept > 0 AND ABS(p.used + p.fee_offset) <= GREATEST(0.001 * p.used, 0.000001 * (10 + p.ends))
      WHEN p.rule = 'resource_based' AND NOT p.one_unit THEN FALSE
      ELSE p.used > 0 AND IF(p.payer = '', 0, p.fees) + IF(p.left_over > 0, p.account_fees, 0) > 0
    END AS uses_are_paid
  FROM pooled AS p
  CROSS JOIN UNNEST([STRUCT(
    CASE
      WHEN p.rule != 'resource_based' THEN IF(p.used > 0, 1, 0)
      WHEN p.payer = '' THEN 0
      ELSE IFNULL(SAFE_DIVIDE(p.used, p.bought), 0)
    END AS own,
    IF(p.rule != 'resource_based', IF(p.pool_used > 0, 1, 0), IFNULL(SAFE_DIVIDE(p.pool_left_over, p.account_bought), 0)) AS of_account
  )]) AS share
),
pools AS (
  SELECT
    m.ledger, m.rule, m.pool, m.payer, m.subscription, m.fee_name, m.uses_are_paid,
    -- The used share of this payer's fees, and the cost of one unit of use: from the project's own fees and its share of the account's.
    IF(m.payer = '', m.account_share, m.own_share) AS share_used,
    SAFE_DIVIDE(
      IF(m.payer = '', 0, m.paid * m.own_share) + IFNULL(m.account_paid * m.account_share * SAFE_DIVIDE(m.left_over, m.pool_left_over), 0),
      m.used) AS cost_of_use,
    -- An unmatched fee counts as unused only if no use of the same hour lacks a fee. Otherwise rows are missing or have other names.
    CASE m.rule
      WHEN 'consumption_model' THEN
        m.uses_are_paid
        OR m.used = 0 AND m.fee_offset = 0 AND COUNTIF(m.rule = 'spend_based' AND m.used > 0 AND NOT m.uses_are_paid) OVER hour = 0
      WHEN 'spend_based' THEN IF(m.payer = '', m.account_share, m.own_share) > 0
      ELSE
        m.one_unit
        AND (
          IF(m.payer = '', m.account_share, m.own_share) > 0
          OR COUNTIF(m.rule = 'resource_based' AND m.used > 0 AND NOT m.uses_are_paid) OVER hour = 0)
    END AS fees_are_used,
    SAFE_DIVIDE(m.used_kept + m.fee_offset, m.fee_cost) AS rounding_of_fees, 1 + IFNULL(SAFE_DIVIDE(m.overdrawn, m.used_kept), 0) AS rounding_of_uses
  FROM matched AS m
  WINDOW hour AS (PARTITION BY m.ledger)
),
source AS (
  SELECT
    r.*, pools.share_used, pools.rounding_of_fees, pools.rounding_of_uses,
    -- Two commitments may cover a row. If the fees of the first are not in the export, only the second counts.
    IF(pools.uses_are_paid, r.rule, 'spend_based') AS used_rule, IF(pools.uses_are_paid, r.pool, r.second_pool) AS used_pool,
    CASE
      WHEN NOT pools.uses_are_paid THEN second.subscription
      WHEN r.rule = 'consumption_model' THEN r.subscription_instance_id
      ELSE pools.subscription
    END AS used_subscription,
    IF(pools.uses_are_paid, pools.fee_name, second.fee_name) AS used_fee_name,
    IF(pools.uses_are_paid, pools.cost_of_use, second.cost_of_use) AS cost_of_use,
    IF(pools.uses_are_paid, r.covered, LEAST(SAFE_DIVIDE(-r.spend_credit, r.cost), 1 - r.covered)) AS used_share,
    second.subscription AS second_subscription, second.fee_name AS second_fee_name, second.cost_of_use AS second_cost_of_use,
    IF(pools.uses_are_paid AND second.uses_are_paid, LEAST(SAFE_DIVIDE(-r.spend_credit, r.cost), 1 - r.covered), 0) AS second_share,
    CASE r.role
      WHEN 'use' THEN IFNULL(pools.uses_are_paid, FALSE) OR IFNULL(second.uses_are_paid, FALSE)
      -- A fee from before these columns existed does not show whether it was used.
      WHEN 'fee' THEN
        IFNULL(pools.fees_are_used, FALSE)
        AND (
          pools.share_used > 0
          OR r.kept > 0 AND COALESCE(r.subscription_instance_id, r.consumption_model_id, r.consumption_model_description) IS NOT NULL)
      ELSE FALSE
    END AS is_matched,
    LOWER(REGEXP_REPLACE(r.service_description, r'(?i)^(google )?(cloud )?', '')) AS service_key,
    JSON_VALUE(r.system_labels, '$."compute.googleapis.com/reservation_name"') AS reservation_name,
    IFNULL(JSON_VALUE(r.system_labels, '$."compute.googleapis.com/reservation_project_id"'), r.project_id) AS reservation_project,
    IFNULL(JSON_VALUE(r.system_labels, '$."compute.googleapis.com/is_unused_reservation"') = 'true', FALSE) AS is_unused_reservation,
    SAFE.PARSE_DATE('%Y%m', IFNULL(r.invoice_month, r.usage_month)) AS billing_month,
    TO_HEX(MD5(TO_JSON_STRING(STRUCT(
      r.billing_account_id, r.invoice_month, r.exported_cost_type, r.sku_id, r.usage_start_time, r.usage_end_time, r.project_id, r.location,
      r.resource_id, r.usage_amount, r.cost, r.cost_at_list, r.currency, r.consumption_model_id, r.subscription_instance_id, r.labels,
      r.system_labels, r.credits)))) AS source_row,
    -- Objects are merged as text: the pairs of each, in one pair of braces. '{}' and NULL have no pairs. Keys of different schemes cannot
    -- be equal: Google's label keys have no `/` except GKE's prefix (`k8s-label/`), and system labels begin with their service's name.
    PARSE_JSON(CONCAT('{', IFNULL(ARRAY_TO_STRING([
      REGEXP_EXTRACT(TO_JSON_STRING(r.labels), r'^\{(.+)\}$'),
      REGEXP_REPLACE(
        REGEXP_EXTRACT(TO_JSON_STRING(r.project_labels), r'^\{(.+)\}$'),
        r'"((?:[^"\\]|\\.)*)":("(?:[^"\\]|\\.)*"|[^",]+)', r'"project/\1":\2'),
      tagged.pairs,
      REGEXP_EXTRACT(TO_JSON_STRING(r.system_labels), r'^\{(.+)\}$')
    ], ','), ''), '}')) AS all_tags
  FROM recognized AS r
  LEFT JOIN tagged ON tagged.tags = TO_JSON_STRING(r.tags)
  LEFT JOIN pools ON pools.ledger = r.ledger AND pools.rule = r.rule AND pools.pool = r.pool AND pools.payer = r.payer
  LEFT JOIN pools AS second
  ON second.ledger = r.ledger AND second.rule = 'spend_based' AND second.pool = r.second_pool AND second.payer = r.payer
),
parts AS (
  SELECT s.*, part
  FROM source AS s
  CROSS JOIN UNNEST(IF(
    s.role IS NULL AND (s.promotion = 0 OR NOT s.is_priced),
    ['whole'],
    [
      CASE WHEN s.role IS NULL THEN 'whole' WHEN NOT s.is_matched THEN 'unmatched' WHEN s.role = 'fee' THEN 'fee' ELSE 'used' END,
      IF(s.is_matched AND s.second_share > 0, 'used_second', NULL),
      IF(
        s.is_matched AND s.role = 'use' AND s.rule != 'consumption_model'
          AND (s.used_share + s.second_share < 0.999999999 OR ROUND(s.kept, 9) != 0),
        'rest', NULL),
      IF(
        s.is_matched AND s.role = 'fee'
          AND IF(s.rule = 'consumption_model', ROUND(s.kept, 9) > 0, ROUND(s.kept * (1 - s.share_used), 9) != 0),
        'unused', NULL),
      IF(s.is_priced AND s.promotion != 0, 'promotion', NULL)
    ])) AS part
  WHERE part IS NOT NULL
),
charged AS (
  SELECT
    s.*,
    CASE s.part WHEN 'promotion' THEN 'Credit' WHEN 'unused' THEN 'Usage' ELSE s.category END AS charge_category,
    s.is_priced AND s.part != 'promotion' AS has_price,
    s.category = 'Usage' AND s.part != 'promotion' AS is_consumed,
    CASE
      WHEN s.part IN ('rest', 'promotion') THEN NULL
      WHEN s.part = 'used_second' THEN s.second_subscription
      WHEN s.part = 'used' THEN s.used_subscription
      WHEN s.is_fee OR s.has_committed_price THEN s.subscription_instance_id
    END AS commitment_id,
    IF(s.is_fee, s.commits_resources, s.part = 'used' AND s.used_rule = 'resource_based') AS is_of_resources,
    IF(s.is_fee, IFNULL(s.subscription_instance_id, s.resource_id), s.resource_id) AS billed_resource_id,
    IF(
      s.reservation_name IS NULL,
      IF(s.is_unused_reservation, s.resource_id, NULL),
      CONCAT(
        '//compute.googleapis.com/', IFNULL(CONCAT('projects/', s.reservation_project, '/'), ''), IFNULL(CONCAT('zones/', s.zone, '/'), ''),
        'reservations/', s.reservation_name)) AS reservation_id,
    CASE s.part
      WHEN 'used' THEN s.used_share
      WHEN 'used_second' THEN s.second_share
      WHEN 'rest' THEN 1 - s.used_share - s.second_share
      WHEN 'unused' THEN IF(s.rule = 'consumption_model', SAFE_DIVIDE(s.kept, s.kept - s.fee_offset), 1 - s.share_used)
      WHEN 'promotion' THEN 0
      ELSE 1
    END AS share
  FROM parts AS s
),
paid AS (
  SELECT
    s.*, s.priced_amount * s.share AS quantity,
    CASE
      WHEN s.part = 'fee' THEN s.kept - s.fee_offset + IF(s.rule = 'consumption_model', s.cost * IFNULL(s.rounding_of_fees, 0), 0)
      WHEN s.part = 'promotion' THEN s.promotion
      WHEN s.part IN ('used', 'used_second', 'unused') THEN 0
      ELSE s.kept
    END AS billed,
    CASE s.part
      WHEN 'fee' THEN 0
      WHEN 'used' THEN CASE s.used_rule
        WHEN 'consumption_model' THEN s.kept * s.rounding_of_uses
        WHEN 'resource_based' THEN IFNULL(s.priced_amount, 0) * s.share * s.cost_of_use
        ELSE s.cost * s.share * s.cost_of_use
      END
      WHEN 'used_second' THEN s.cost * s.share * s.second_cost_of_use
      WHEN 'unused' THEN IF(s.rule = 'consumption_model', s.kept, s.kept * s.share)
      WHEN 'promotion' THEN s.promotion
      ELSE s.kept
    END AS effective,
    -- This part's cost in Google's own reports. There, usage covered by a credit costs nothing, and an unused fee is part of the fee.
    CASE
      WHEN s.part = 'promotion' THEN s.promotion
      WHEN s.part IN ('used_second', 'unused') OR s.part = 'used' AND s.rule != 'consumption_model' THEN 0
      ELSE s.kept
    END AS exported_net,
    CASE
      WHEN s.part = 'promotion' THEN s.promotion
      WHEN s.part = 'unused' THEN 0
      WHEN s.part = 'used' AND s.rule != 'consumption_model' OR s.part = 'used_second' THEN -s.cost * s.share
      WHEN s.part = 'rest' THEN s.credits_total - s.promotion + (s.used_share + s.second_share) * s.cost
      ELSE s.credits_total - IF(s.is_priced, s.promotion, 0)
    END AS exported_credits
  FROM charged AS s
),
valued AS (
  SELECT
    s.*,
    CASE
      WHEN s.part IN ('unused', 'promotion') THEN s.effective
      WHEN s.has_price THEN IFNULL(s.cost_at_effective_price_default, s.cost) * s.share
      ELSE s.net_cost
    END AS contracted,
    CASE
      WHEN s.part IN ('unused', 'promotion') THEN s.effective
      WHEN s.has_price THEN COALESCE(s.cost_at_list, s.cost_at_effective_price_default, s.cost) * s.share
      ELSE s.net_cost
    END AS listed
  FROM paid AS s
),
priced AS (
  SELECT
    s.*,
    -- A quantity of 0 still has a price. `effective_price` is the committed price if there is one.
    CASE
      WHEN NOT s.has_price THEN NULL
      WHEN s.quantity = 0 THEN COALESCE(s.price_effective_price_default, IF(s.has_committed_price, NULL, s.price_effective_price)) / s.price_units
      ELSE SAFE_DIVIDE(s.contracted, s.quantity)
    END AS contracted_price,
    CASE
      WHEN NOT s.has_price THEN NULL
      WHEN s.quantity = 0 THEN s.price_list_price / s.price_units
      ELSE SAFE_DIVIDE(s.listed, s.quantity)
    END AS listed_price
  FROM valued AS s
)
SELECT
  s.usage_date, s.zone, SAFE_CAST(s.billed AS NUMERIC), s.billing_account_id, @billing_account_name, 'Billing Account', s.currency,
  TIMESTAMP(s.billing_month, 'America/Los_Angeles'), TIMESTAMP(DATE_ADD(s.billing_month, INTERVAL 1 MONTH), 'America/Los_Angeles'),
  s.reservation_id,
  IF(s.reservation_id IS NULL OR s.charge_category != 'Usage', NULL, IF(s.is_unused_reservation, 'Unused', 'Used')),
  s.charge_category,
  IF(
    s.is_adjustment AND s.usage_month < s.invoice_month
      AND IFNULL(s.adjustment_info_type, '') NOT IN ('GOODWILL', 'SALES_BASED_GOODWILL', 'BALANCE_TRANSFER'),
    'Correction', NULL),
  COALESCE(IF(s.part = 'promotion', s.promotion_name, NULL), s.adjustment_info_description, s.sku_description, s.service_description),
  CASE s.charge_category WHEN 'Usage' THEN 'Usage-Based' WHEN 'Purchase' THEN 'Recurring' ELSE 'One-Time' END,
  s.usage_start_time, s.usage_end_time,
  s.commitment_id,
  CASE
    WHEN s.commitment_id IS NULL THEN NULL
    WHEN s.is_fee THEN s.sku_description
    WHEN s.part = 'used_second' THEN s.second_fee_name
    WHEN s.has_committed_price THEN s.consumption_model_description
    ELSE s.used_fee_name
  END,
  IF(s.commitment_id IS NULL, NULL, IF(s.is_of_resources, 'Usage', 'Spend')),
  IF(s.commitment_id IS NULL, NULL, IF(s.is_of_resources, 'Resource-based CUD', 'Spend-based CUD')),
  IF(s.commitment_id IS NULL OR s.charge_category != 'Usage', NULL, IF(s.part = 'unused', 'Unused', 'Used')),
  CASE
    WHEN s.commitment_id IS NULL OR NOT s.has_price THEN NULL
    WHEN s.is_of_resources THEN s.quantity
    WHEN s.part IN ('used', 'used_second', 'unused') THEN s.effective
    ELSE s.cost
  END,
  CASE
    WHEN s.commitment_id IS NULL OR NOT s.has_price OR s.is_of_resources AND s.quantity IS NULL THEN NULL
    WHEN s.is_of_resources THEN s.usage_pricing_unit
    ELSE s.currency
  END,
  IF(s.is_consumed AND s.usage_unit IS NOT NULL, s.usage_amount * s.share, NULL),
  IF(s.is_consumed AND s.usage_amount IS NOT NULL, s.usage_unit, NULL),
  SAFE_CAST(s.contracted AS NUMERIC), IF(s.contracted_price >= 0, s.contracted_price, NULL),
  SAFE_CAST(s.effective AS NUMERIC), @invoice_issuer,
  SAFE_CAST(s.listed AS NUMERIC), IF(s.listed_price >= 0, s.listed_price, NULL),
  CASE
    WHEN s.charge_category = 'Purchase' THEN 'Standard'
    WHEN s.charge_category != 'Usage' THEN NULL
    WHEN s.part = 'unused' OR s.is_committed AND s.part != 'rest' THEN 'Committed'
    WHEN s.is_spot_sku AND NOT s.is_third_party THEN 'Dynamic'
    ELSE 'Standard'
  END,
  IF(s.rate IS NULL, s.currency, 'USD'), IF(s.contracted_price >= 0, s.contracted_price / IFNULL(s.rate, 1), NULL),
  SAFE_CAST(s.effective / IFNULL(s.rate, 1) AS NUMERIC), IF(s.listed_price >= 0, s.listed_price / IFNULL(s.rate, 1), NULL),
  IF(s.has_price, s.quantity, NULL), IF(s.has_price AND s.quantity IS NOT NULL, s.usage_pricing_unit, NULL),
  'Google Cloud', IF(s.is_third_party, COALESCE(s.seller_name, s.service_description, 'Google Cloud'), 'Google Cloud'), s.region, s.region,
  s.billed_resource_id, NULLIF(IF(s.is_fee, NULL, s.resource_name), s.billed_resource_id),
  CASE
    WHEN s.billed_resource_id IS NULL THEN NULL
    WHEN s.is_fee AND s.subscription_instance_id IS NOT NULL THEN 'Commitment'
    ELSE COALESCE(REGEXP_EXTRACT(s.billed_resource_id, r'/([^/]+)/[^/]+$'), s.service_description, s.service_id, 'Unspecified')
  END,
  COALESCE(by_id.category, by_name.category, 'Other'), COALESCE(s.service_description, s.service_id, 'Unspecified'),
  COALESCE(by_id.subcategory, by_name.subcategory, 'Other (Other)'),
  IF(s.charge_category = 'Tax', NULL, s.sku_id), IF(s.charge_category = 'Tax' OR s.sku_id IS NULL, NULL, s.sku_description),
  IF(
    s.has_price,
    CONCAT(
      s.sku_id, '/', IF(s.has_committed_price, IFNULL(s.consumption_model_id, s.consumption_model_description), 'default'), '/',
      s.tier),
    NULL),
  IF(
    s.has_price AND s.sku_id IS NOT NULL
      AND COALESCE(s.consumption_model_description, CAST(s.price_tier_start_amount AS STRING)) IS NOT NULL,
    JSON_STRIP_NULLS(JSON_OBJECT(
      'x_ConsumptionModel', s.consumption_model_description, 'x_TierStartAmount', s.price_tier_start_amount)),
    NULL),
  s.project_id, IF(s.project_id IS NULL, NULL, IFNULL(s.project_name, s.project_id)), IF(s.project_id IS NULL, NULL, 'Project'), s.all_tags,
  s.exported_cost_type, SAFE_CAST(s.exported_credits AS NUMERIC), s.currency_conversion_rate, s.invoice_month, s.location,
  s.project_number, s.service_id, s.system_labels, @loaded_at, @pipeline_logging_id,
  'GCP', CONCAT('GCP/', s.billing_account_id), '1.2', SAFE_CAST(s.exported_net AS NUMERIC),
  SAFE_CAST(s.cost_at_effective_price_default * IF(s.part IN ('unused', 'promotion'), NULL, s.share) AS NUMERIC),
  SAFE_CAST(s.cost_at_list_consumption_model * IF(s.part IN ('unused', 'promotion'), NULL, s.share) AS NUMERIC),
  s.consumption_model_id, s.consumption_model_description, s.subscription_instance_id, s.invoice_publisher_type, s.credits, s.other_columns,
  s.source_row,
  CASE
    WHEN s.part = 'promotion' THEN 'promotion'
    WHEN s.part = 'used_second' THEN 'spend_based:used_second'
    WHEN s.part = 'used' THEN CONCAT(s.used_rule, ':used')
    WHEN s.role IS NOT NULL THEN CONCAT(s.rule, ':', s.part)
    WHEN s.is_priced AND s.promotion != 0 THEN 'before_promotion'
    ELSE 'as_billed'
  END,
  CASE s.part WHEN 'used' THEN s.used_pool WHEN 'used_second' THEN s.second_pool WHEN 'promotion' THEN NULL ELSE s.pool END
FROM priced AS s
LEFT JOIN UNNEST(services) AS by_id ON by_id.id = s.service_id
LEFT JOIN UNNEST(services) AS by_name ON by_name.name = s.service_key;
SET rows_staged = @@row_count;
-- `billing_sums`: the sums to which the staged rows must add up, from the source's rows alone. A priced row counts before credits, at its
-- price without a commitment and at its list price. Any other row (a tax, an adjustment, a credit without usage) counts as billed.
-- `source_versions`: for each day, a fingerprint of the runs that wrote its rows, and how many each wrote. No run adds to another run's
-- rows. So as long as a day has this version, it has the rows that were read.
-- `not_loaded`: the days without rows that the ledger of days does not have.
SET found = (
  SELECT AS STRUCT
    (SELECT IFNULL(SUM(one.row_count), 0) FROM UNNEST(q.sums) AS one) AS billing_rows, q.sums AS billing_sums, q.versions AS source_versions,
    ARRAY(
      SELECT day
      FROM UNNEST(@run_days) AS day
      WHERE day NOT IN (SELECT one FROM UNNEST(q.loaded) AS one) AND day NOT IN (SELECT one.day FROM UNNEST(q.sums) AS one)) AS not_loaded
  FROM (
    SELECT
      ARRAY(
        SELECT AS STRUCT
          e.usage_date AS day, e.currency, e.invoice_month, COUNT(*) AS row_count, SUM(e.net_cost) AS net_cost,
          SUM(IF(e.is_priced, IFNULL(e.cost_at_effective_price_default, e.cost), e.net_cost)) AS contracted_cost,
          SUM(IF(e.is_priced, COALESCE(e.cost_at_list, e.cost_at_effective_price_default, e.cost), e.net_cost)) AS list_cost
        FROM (
          SELECT
            b.usage_date, b.currency, b.invoice_month, b.net_cost, b.cost, b.cost_at_effective_price_default, b.cost_at_list,
            IFNULL(b.cost_type, 'regular') = 'regular'
              AND (IFNULL(b.cost, 1) != 0 OR IFNULL(b.credits_total, 0) = 0 OR IFNULL(b.usage_amount, 0) != 0) AS is_priced
          FROM billing_cost_daily AS b
          WHERE b.usage_date BETWEEN @first_day AND @last_day AND b.usage_date IN UNNEST(@run_days)
        ) AS e
        GROUP BY e.usage_date, e.currency, e.invoice_month) AS sums,
      ARRAY(
        SELECT AS STRUCT g.usage_date AS day, BIT_XOR(FARM_FINGERPRINT(CONCAT(g.run, ' ', CAST(g.row_count AS STRING)))) AS version
        FROM (
          SELECT b.usage_date, IFNULL(b.pipeline_logging_id, '') AS run, COUNT(*) AS row_count
          FROM billing_cost_daily AS b
          WHERE b.usage_date BETWEEN @first_day AND @last_day AND b.usage_date IN UNNEST(@run_days)
          GROUP BY b.usage_date, run
        ) AS g
        GROUP BY g.usage_date) AS versions,
      ARRAY(
        SELECT d.usage_date
        FROM x_meta_cost_days AS d
        WHERE d.source = 'gcp' AND d.source_table IS NOT NULL AND d.usage_date IN UNNEST(@run_days)) AS loaded
  ) AS q);
COMMIT TRANSACTION;
-- seldom: only for days from before the ledger of days existed
IF ARRAY_LENGTH(found.not_loaded) > 0 THEN
  SET missing = (
    SELECT STRING_AGG(CAST(day AS STRING), ', ' ORDER BY day)
    FROM UNNEST(found.not_loaded) AS day
    WHERE day NOT IN (
      SELECT loaded
      FROM x_meta_pipeline_runs AS r
      CROSS JOIN UNNEST(GENERATE_DATE_ARRAY(
        SAFE_CAST(COALESCE(JSON_VALUE(r.parameters, '$.date'), JSON_VALUE(r.parameters, '$.start_date')) AS DATE),
        SAFE_CAST(COALESCE(JSON_VALUE(r.parameters, '$.date'), JSON_VALUE(r.parameters, '$.end_date')) AS DATE))) AS loaded
      WHERE r.pipeline_id = CONCAT(@tenant_id, '-gcp-cost-billing') AND r.status = 'COMPLETED'
        AND r.started_at >= TIMESTAMP(DATE_ADD(loaded, INTERVAL 1 DAY))));
END IF;
SELECT
  rows_staged, found.billing_rows, found.billing_sums, found.source_versions,
  CONCAT('gcp/cost/billing has never loaded ', missing, '. Run it for these days first.') AS missing
