-- The SQL of actual.yml. The run's own staging tables replace x_staging_azure_cost and x_staging_focus_export. Each column's rule is in
-- docs/focus-azure-cost.md. FOCUS columns that the exports cannot fill are not named here, so they are NULL.

-- name: actual_to_focus
-- Each row of the actual cost becomes one row. If there is an export of amortized cost, these rules apply to commitments:
--   - Usage that reservations and savings plans cover, and their unused parts, come from the amortized cost. Their BilledCost is 0, and
--     their EffectiveCost is their share of the purchase.
--   - The EffectiveCost of the purchase itself is 0.
--   - The actual cost also has the covered usage, at no cost. Such a row would double the quantity, so it is left out.
-- Replayed, it replaces the staged rows.
-- Step by step: `named` has the rows with one name for each column, whichever agreement they are from; `kinds` has each row's kind of
-- charge. `costs` selects the rows that count, with the amounts paid; `priced` has their costs at other prices.
DECLARE rows_staged INT64;
-- Categories by meter category, in lower case. Otherwise the category of the service family is used.
DECLARE services ARRAY<STRUCT<name STRING, category STRING, subcategory STRING>> DEFAULT [
  STRUCT('virtual machines' AS name, 'Compute' AS category, 'Virtual Machines' AS subcategory),
  ('virtual machine licenses', 'Compute', 'Virtual Machines'),
  ('virtual machines licenses', 'Compute', 'Virtual Machines'),
  ('azure dedicated host', 'Compute', 'Virtual Machines'),
  ('specialized compute', 'Compute', 'Virtual Machines'),
  ('azure vmware solution', 'Compute', 'Virtual Machines'),
  ('cloud services', 'Compute', 'Other (Compute)'),
  ('azure app service', 'Web', 'Application Platforms'),
  ('azure spring apps', 'Web', 'Application Platforms'),
  ('static web apps', 'Web', 'Application Platforms'),
  ('azure static web apps', 'Web', 'Application Platforms'),
  ('functions', 'Compute', 'Serverless Compute'),
  ('azure functions', 'Compute', 'Serverless Compute'),
  ('azure kubernetes service', 'Compute', 'Containers'),
  ('azure container apps', 'Compute', 'Containers'),
  ('container instances', 'Compute', 'Containers'),
  ('container registry', 'Developer Tools', 'Developer Platforms'),
  ('azure red hat openshift', 'Compute', 'Containers'),
  ('service fabric mesh', 'Compute', 'Containers'),
  ('batch', 'Compute', 'Other (Compute)'),
  ('azure virtual desktop', 'Compute', 'End User Computing'),
  ('windows 365', 'Compute', 'End User Computing'),
  ('azure quantum', 'Compute', 'Quantum Compute'),
  ('azure savings plan for compute', 'Compute', 'Other (Compute)'),
  ('savings plan', 'Compute', 'Other (Compute)'),
  ('storage', 'Storage', 'Object Storage'),
  ('storage discovery', 'Storage', 'Other (Storage)'),
  ('azure data lake store', 'Storage', 'Object Storage'),
  ('azure data lake storage', 'Storage', 'Object Storage'),
  ('azure netapp files', 'Storage', 'File Storage'),
  ('azure managed lustre', 'Storage', 'File Storage'),
  ('azure file sync', 'Storage', 'File Storage'),
  ('hpc cache', 'Storage', 'File Storage'),
  ('backup', 'Storage', 'Backup Storage'),
  ('azure site recovery', 'Management and Governance', 'Disaster Recovery'),
  ('data box', 'Migration', 'Data Migration'),
  ('azure data box', 'Migration', 'Data Migration'),
  ('storsimple', 'Storage', 'Storage Platforms'),
  ('sql database', 'Databases', 'Relational Databases'),
  ('sql managed instance', 'Databases', 'Relational Databases'),
  ('sql server stretch database', 'Databases', 'Relational Databases'),
  ('azure sql edge', 'Databases', 'Relational Databases'),
  ('azure database for mysql', 'Databases', 'Relational Databases'),
  ('azure database for postgresql', 'Databases', 'Relational Databases'),
  ('azure database for mariadb', 'Databases', 'Relational Databases'),
  ('azure cosmos db', 'Databases', 'NoSQL Databases'),
  ('azure cosmos db for mongodb vcore', 'Databases', 'NoSQL Databases'),
  ('redis cache', 'Databases', 'Caching'),
  ('azure managed redis', 'Databases', 'Caching'),
  ('azure confidential ledger', 'Databases', 'Ledger Databases'),
  ('sql data warehouse', 'Databases', 'Data Warehouses'),
  ('azure synapse analytics', 'Databases', 'Data Warehouses'),
  ('microsoft fabric', 'Analytics', 'Analytics Platforms'),
  ('azure databricks', 'Analytics', 'Data Processing'),
  ('hdinsight', 'Analytics', 'Data Processing'),
  ('azure data factory', 'Analytics', 'Data Processing'),
  ('azure data factory v2', 'Analytics', 'Data Processing'),
  ('azure data explorer', 'Analytics', 'Data Processing'),
  ('azure analysis services', 'Analytics', 'Business Intelligence'),
  ('power bi', 'Analytics', 'Business Intelligence'),
  ('power bi embedded', 'Analytics', 'Business Intelligence'),
  ('stream analytics', 'Analytics', 'Streaming Analytics'),
  ('event hubs', 'Analytics', 'Streaming Analytics'),
  ('azure cognitive search', 'Analytics', 'Search'),
  ('azure ai search', 'Analytics', 'Search'),
  ('data lake analytics', 'Analytics', 'Data Processing'),
  ('azure purview', 'Management and Governance', 'Data Governance'),
  ('microsoft purview', 'Management and Governance', 'Data Governance'),
  ('azure machine learning', 'AI and Machine Learning', 'AI Platforms'),
  ('azure machine learning service', 'AI and Machine Learning', 'AI Platforms'),
  ('machine learning studio', 'AI and Machine Learning', 'AI Platforms'),
  ('cognitive services', 'AI and Machine Learning', 'Machine Learning'),
  ('azure ai services', 'AI and Machine Learning', 'Machine Learning'),
  ('azure applied ai services', 'AI and Machine Learning', 'Machine Learning'),
  ('foundry models', 'AI and Machine Learning', 'Generative AI'),
  ('azure openai', 'AI and Machine Learning', 'Generative AI'),
  ('azure bot service', 'AI and Machine Learning', 'Bots'),
  ('microsoft copilot studio', 'AI and Machine Learning', 'Generative AI'),
  ('virtual network', 'Networking', 'Network Infrastructure'),
  ('bandwidth', 'Networking', 'Network Connectivity'),
  ('rtn preference: mgn', 'Networking', 'Network Connectivity'),
  ('load balancer', 'Networking', 'Application Networking'),
  ('application gateway', 'Networking', 'Application Networking'),
  ('azure front door service', 'Networking', 'Content Delivery'),
  ('content delivery network', 'Networking', 'Content Delivery'),
  ('traffic manager', 'Networking', 'Network Routing'),
  ('azure dns', 'Networking', 'Network Routing'),
  ('nat gateway', 'Networking', 'Network Infrastructure'),
  ('azure nat gateway', 'Networking', 'Network Infrastructure'),
  ('vpn gateway', 'Networking', 'Network Connectivity'),
  ('expressroute', 'Networking', 'Network Connectivity'),
  ('virtual wan', 'Networking', 'Network Connectivity'),
  ('azure route server', 'Networking', 'Network Routing'),
  ('azure firewall', 'Networking', 'Network Security'),
  ('azure firewall manager', 'Networking', 'Network Security'),
  ('azure ddos protection', 'Networking', 'Network Security'),
  ('azure bastion', 'Networking', 'Network Security'),
  ('network watcher', 'Management and Governance', 'Observability'),
  ('private link', 'Networking', 'Network Infrastructure'),
  ('virtual network private link', 'Networking', 'Network Infrastructure'),
  ('api management', 'Integration', 'API Management'),
  ('service bus', 'Integration', 'Messaging'),
  ('event grid', 'Integration', 'Messaging'),
  ('logic apps', 'Integration', 'Workflow Orchestration'),
  ('notification hubs', 'Integration', 'Messaging'),
  ('azure relay', 'Integration', 'Messaging'),
  ('signalr', 'Integration', 'Messaging'),
  ('web pubsub', 'Integration', 'Messaging'),
  ('azure communication services', 'Integration', 'Messaging'),
  ('phone numbers', 'Integration', 'Messaging'),
  ('sms', 'Integration', 'Messaging'),
  ('voice', 'Integration', 'Messaging'),
  ('key vault', 'Security', 'Secret Management'),
  ('azure dedicated hsm', 'Security', 'Secret Management'),
  ('advanced threat protection', 'Security', 'Threat Detection and Response'),
  ('advanced data security', 'Security', 'Threat Detection and Response'),
  ('microsoft defender for cloud', 'Security', 'Security Posture Management'),
  ('security center', 'Security', 'Security Posture Management'),
  ('sentinel', 'Security', 'Threat Detection and Response'),
  ('azure attestation', 'Security', 'Other (Security)'),
  ('azure active directory', 'Identity', 'Identity and Access Management'),
  ('azure active directory b2c', 'Identity', 'Identity and Access Management'),
  ('azure active directory for external identities', 'Identity', 'Identity and Access Management'),
  ('azure active directory domain services', 'Identity', 'Identity and Access Management'),
  ('microsoft entra id', 'Identity', 'Identity and Access Management'),
  ('microsoft entra domain services', 'Identity', 'Identity and Access Management'),
  ('multi-factor authentication', 'Identity', 'Identity and Access Management'),
  ('log analytics', 'Management and Governance', 'Observability'),
  ('azure monitor', 'Management and Governance', 'Observability'),
  ('application insights', 'Management and Governance', 'Observability'),
  ('insight and analytics', 'Management and Governance', 'Observability'),
  ('azure grafana service', 'Management and Governance', 'Observability'),
  ('automation', 'Management and Governance', 'Other (Management and Governance)'),
  ('azure policy', 'Management and Governance', 'Compliance'),
  ('azure arc enabled databases', 'Multicloud', 'Multicloud Integration'),
  ('azure arc', 'Multicloud', 'Multicloud Integration'),
  ('azure stack hci', 'Multicloud', 'Multicloud Integration'),
  ('azure stack edge', 'Multicloud', 'Multicloud Integration'),
  ('azure lab services', 'Developer Tools', 'Development Environments'),
  ('microsoft dev box', 'Developer Tools', 'Development Environments'),
  ('azure devops', 'Developer Tools', 'Developer Platforms'),
  ('visual studio', 'Developer Tools', 'Development Environments'),
  ('visual studio subscription', 'Developer Tools', 'Development Environments'),
  ('app configuration', 'Developer Tools', 'Developer Platforms'),
  ('app center', 'Developer Tools', 'Developer Platforms'),
  ('azure load testing', 'Developer Tools', 'Quality Assurance'),
  ('azure chaos studio', 'Developer Tools', 'Quality Assurance'),
  ('github', 'Developer Tools', 'Source Code Management'),
  ('github ae', 'Developer Tools', 'Source Code Management'),
  ('iot hub', 'Internet of Things', 'IoT Platforms'),
  ('iot central', 'Internet of Things', 'IoT Platforms'),
  ('azure iot central', 'Internet of Things', 'IoT Platforms'),
  ('azure iot operations', 'Internet of Things', 'IoT Platforms'),
  ('digital twins', 'Internet of Things', 'IoT Platforms'),
  ('azure digital twins', 'Internet of Things', 'IoT Platforms'),
  ('time series insights', 'Internet of Things', 'IoT Analytics'),
  ('azure sphere', 'Internet of Things', 'Other (Internet of Things)'),
  ('azure maps', 'Web', 'Other (Web)'),
  ('media services', 'Media', 'Media Streaming'),
  ('azure video indexer', 'Media', 'Content Creation'),
  ('playfab', 'Media', 'Gaming'),
  ('azure remote rendering', 'Media', 'Mixed Reality'),
  ('azure spatial anchors', 'Media', 'Mixed Reality'),
  ('azure database migration service', 'Migration', 'Data Migration'),
  ('azure migrate', 'Migration', 'Resource Migration'),
  ('dynamics 365', 'Business Applications', 'Other (Business Applications)'),
  ('microsoft 365', 'Business Applications', 'Productivity and Collaboration'),
  ('office 365', 'Business Applications', 'Productivity and Collaboration'),
  ('power apps', 'Business Applications', 'Other (Business Applications)'),
  ('power automate', 'Business Applications', 'Other (Business Applications)'),
  ('support', 'Management and Governance', 'Support'),
  ('azure support', 'Management and Governance', 'Support')
];
BEGIN TRANSACTION;
DELETE FROM x_staging_focus_export WHERE TRUE;
INSERT INTO x_staging_focus_export (
  x_UsageDate, BilledCost, BillingAccountId, BillingAccountName, BillingAccountType, BillingCurrency, BillingPeriodStart, BillingPeriodEnd,
  CapacityReservationId, CapacityReservationStatus,
  ChargeCategory, ChargeClass, ChargeDescription, ChargeFrequency, ChargePeriodStart, ChargePeriodEnd,
  CommitmentDiscountId, CommitmentDiscountName, CommitmentDiscountCategory, CommitmentDiscountType, CommitmentDiscountStatus,
  CommitmentDiscountQuantity, CommitmentDiscountUnit, ConsumedQuantity, ConsumedUnit,
  ContractedCost, ContractedUnitPrice, EffectiveCost, InvoiceId, InvoiceIssuerName, ListCost, ListUnitPrice,
  PricingCategory, PricingCurrency, PricingCurrencyContractedUnitPrice, PricingCurrencyEffectiveCost, PricingCurrencyListUnitPrice,
  PricingQuantity, PricingUnit, ProviderName, PublisherName, RegionId, RegionName, ResourceId, ResourceName, ResourceType,
  ServiceCategory, ServiceName, ServiceSubcategory, SkuId, SkuMeter, SkuPriceId, SkuPriceDetails,
  SubAccountId, SubAccountName, SubAccountType, Tags,
  x_Provider, x_SourceId, x_FocusVersion, x_ProviderColumns, x_BillingPeriod, x_ManifestId, x_SourceChanges
)
WITH named AS (
  SELECT
    a.dataset, a.source_id, a.billing_period, a.manifest_id, a.charge_type, a.frequency, a.pricing_model, a.publisher_type,
    a.publisher_name, a.product_order_id, a.product_order_name, a.reservation_id, a.meter_id, a.meter_name, a.meter_category,
    a.meter_sub_category, a.meter_region, a.service_family, a.consumed_service, a.part_number, a.term, a.offer_id, a.plan_name,
    a.invoice_id, a.reseller_name, a.unit_of_measure, a.payg_price, a.unit_price, a.payg_cost_in_billing_currency, a.effective_price,
    a.cost_center, a.service_info1, a.service_info2, a.other_columns, a.subscription_name, a.resource_name, a.resource_type,
    a.additional_info, a.tags, a.account_name, a.account_owner_id, a.cost_allocation_rule_name, a.is_azure_credit_eligible,
    a.previous_invoice_id, a.cost_in_usd, a.cost_in_pricing_currency, a.exchange_rate_date, a.service_period_start_date,
    a.service_period_end_date, a.invoice_section_id, a.billing_profile_id, a.billing_profile_name, a.billing_account_id,
    a.billing_account_name, a.reservation_name, a.benefit_name,
    COALESCE(a.date, a.usage_date, a.usage_date_time) AS day,
    COALESCE(a.cost_in_billing_currency, a.cost, a.pre_tax_cost, 0) AS paid,
    COALESCE(a.billing_currency, a.billing_currency_code, a.currency, a.currency_code) AS billed_in,
    COALESCE(a.pricing_currency, a.pricing_currency_code, a.billing_currency, a.billing_currency_code, a.currency, a.currency_code)
      AS priced_in,
    -- The exchange rate from the pricing currency to the invoice's: 1 if they are the same, as in an Enterprise Agreement.
    COALESCE(NULLIF(a.exchange_rate_pricing_to_billing, 0), NULLIF(a.exchange_rate, 0), 1) AS rate,
    COALESCE(a.quantity, a.usage_quantity, a.consumed_quantity) AS quantity,
    LOWER(COALESCE(a.subscription_id, a.subscription_guid)) AS subscription,
    COALESCE(a.product_name, a.product, a.product_id) AS product,
    COALESCE(a.invoice_section_name, a.invoice_section, a.department_name) AS section,
    COALESCE(a.resource_group_name, a.resource_group) AS resource_group,
    COALESCE(a.resource_id, a.instance_id, a.instance_name) AS resource,
    COALESCE(a.resource_location_normalized, a.resource_location, a.location) AS place,
    COALESCE(a.product_id, a.part_number, a.meter_id) AS sku,
    COALESCE(NULLIF(LOWER(a.meter_category), 'unassigned'), LOWER(a.service_name)) AS service_key,
    SAFE.PARSE_JSON(a.additional_info, wide_number_mode => 'round') AS details,
    -- Enterprise Agreements export tags without the surrounding braces.
    SAFE.PARSE_JSON(IF(STARTS_WITH(TRIM(a.tags), '{'), a.tags, CONCAT('{', a.tags, '}')), wide_number_mode => 'round') AS tags_json,
    COALESCE(
      a.benefit_id,
      IF(
        a.reservation_id IS NULL, NULL,
        IFNULL(
          CONCAT('/providers/Microsoft.Capacity/reservationOrders/', a.product_order_id, '/reservations/', a.reservation_id),
          a.reservation_id))
    ) AS benefit,
    IFNULL(
      a.pricing_model = 'SavingsPlan' OR a.charge_type = 'UnusedSavingsPlan' OR REGEXP_CONTAINS(a.benefit_id, r'(?i)/savingsPlan'), FALSE
    ) AS is_savings_plan,
    COUNTIF(a.dataset = 'AMORTIZED') OVER (PARTITION BY a.source_id, a.billing_period) > 0 AS is_amortized
  FROM x_staging_azure_cost AS a
),
kinds AS (
  SELECT
    n.*,
    IF(IFNULL(n.pricing_model, '') IN ('OnDemand', 'Spot'), NULL, n.benefit) AS commitment,
    CASE
      WHEN n.charge_type IN ('UnusedReservation', 'UnusedSavingsPlan') THEN 'unused'
      WHEN n.charge_type IN ('Purchase', 'Refund') AND n.benefit IS NOT NULL THEN 'commitment'
      WHEN n.charge_type = 'Purchase' THEN 'fee'
      WHEN n.charge_type = 'Refund' THEN IF(IFNULL(n.frequency, 'UsageBased') = 'UsageBased', 'usage', 'fee')
      WHEN n.charge_type = 'Tax' THEN 'tax'
      WHEN n.charge_type = 'Credit' THEN 'credit'
      WHEN IFNULL(n.charge_type, 'Usage') = 'Usage' THEN
        IF(n.benefit IS NOT NULL AND IFNULL(n.pricing_model, '') NOT IN ('OnDemand', 'Spot'), 'used', 'usage')
      ELSE 'other'
    END AS kind
  FROM named AS n
),
costs AS (
  SELECT
    k.*,
    IF(k.dataset = 'AMORTIZED', 0, k.paid) AS billed,
    IF(k.dataset = 'ACTUAL' AND k.is_amortized AND k.kind IN ('used', 'unused', 'commitment'), 0, k.paid) AS effective,
    k.kind IN ('usage', 'used', 'unused', 'fee', 'commitment') AS is_priced,
    k.kind IN ('used', 'unused', 'commitment') AND k.commitment IS NOT NULL AS is_committed,
    IF(
      k.kind IN ('usage', 'used', 'unused', 'fee', 'commitment') AND k.unit_of_measure IS NOT NULL, k.quantity, NULL) AS priced_quantity,
    -- The number of units that one price covers: "100 Hours", "10K", "1 GB/Month".
    IFNULL(SAFE_CAST(REPLACE(REGEXP_EXTRACT(k.unit_of_measure, r'^([0-9][0-9,.]*)'), ',', '') AS FLOAT64), 1)
      * CASE REGEXP_EXTRACT(k.unit_of_measure, r'^[0-9][0-9,.]*\s*([KM])(?:[^A-Za-z]|$)')
        WHEN 'K' THEN 1000 WHEN 'M' THEN 1000000 ELSE 1
      END
      AS block_size,
    IF(
      LOWER(REPLACE(k.place, ' ', '')) IN ('unassigned', 'unknown', 'global', 'notapplicable', 'n/a'), NULL, k.place) AS region
  FROM kinds AS k
  WHERE
    IF(
      k.dataset = 'AMORTIZED',
      k.kind IN ('used', 'unused'),
      NOT (k.is_amortized AND k.kind IN ('used', 'unused') AND k.paid = 0))
),
priced AS (
  SELECT
    c.*,
    -- A price of 0 means that Azure does not know the price: for the Marketplace, and for usage that reservations cover.
    CASE
      WHEN c.kind IN ('commitment', 'fee') THEN c.paid
      WHEN c.kind = 'unused' THEN c.effective
      WHEN c.kind = 'used' THEN IFNULL(
        SAFE_CAST(NULLIF(c.unit_price, 0) * c.priced_quantity * c.rate AS NUMERIC), c.effective)
      ELSE c.billed
    END AS contracted,
    CASE
      WHEN c.kind IN ('commitment', 'fee') THEN c.paid
      WHEN c.kind = 'unused' THEN c.effective
      WHEN c.kind IN ('usage', 'used') THEN COALESCE(
        NULLIF(c.payg_cost_in_billing_currency, 0),
        SAFE_CAST(NULLIF(c.payg_price, 0) * c.priced_quantity * c.rate AS NUMERIC),
        IF(c.kind = 'used', SAFE_CAST(NULLIF(c.unit_price, 0) * c.priced_quantity * c.rate AS NUMERIC), NULL),
        c.effective)
      ELSE c.billed
    END AS listed,
    IF(c.kind IN ('unused', 'commitment'), COALESCE(c.commitment, c.resource), c.resource) AS resource_id,
    NULLIF(REGEXP_REPLACE(
      REGEXP_REPLACE(IFNULL(c.unit_of_measure, ''), r'^[0-9][0-9,.]*\s*(?:[KM](?:[^A-Za-z]|$))?\s*', ''), r'^/', 'Units/'), '') AS unit
  FROM costs AS c
)
SELECT
  p.day, p.billed,
  CASE
    WHEN STARTS_WITH(p.billing_profile_id, '/') THEN p.billing_profile_id
    WHEN STARTS_WITH(p.billing_account_id, '/') THEN p.billing_account_id
    WHEN p.billing_account_id IS NULL THEN CONCAT('/subscriptions/', p.subscription)
    WHEN IFNULL(p.billing_profile_id, p.billing_account_id) IN (p.billing_account_id, p.subscription) THEN
      CONCAT('/providers/Microsoft.Billing/billingAccounts/', p.billing_account_id)
    ELSE CONCAT('/providers/Microsoft.Billing/billingAccounts/', p.billing_account_id, '/billingProfiles/', p.billing_profile_id)
  END,
  IFNULL(p.billing_profile_name, p.billing_account_name),
  CASE
    WHEN p.billing_account_id IS NULL THEN 'Subscription'
    WHEN IFNULL(p.billing_profile_id, p.billing_account_id) IN (p.billing_account_id, p.subscription) THEN 'Billing Account'
    ELSE 'Billing Profile'
  END,
  p.billed_in, TIMESTAMP(p.billing_period), TIMESTAMP(DATE_ADD(p.billing_period, INTERVAL 1 MONTH)),
  IF(p.kind IN ('usage', 'used'), JSON_VALUE(p.details, '$.VMCapacityReservationId'), NULL),
  IF(
    p.kind IN ('usage', 'used') AND JSON_VALUE(p.details, '$.VMCapacityReservationId') IS NOT NULL,
    IF(JSON_VALUE(p.details, '$.UsageType') = 'ComputeCR', 'Unused', 'Used'), NULL),
  CASE p.kind
    WHEN 'commitment' THEN 'Purchase' WHEN 'fee' THEN 'Purchase' WHEN 'tax' THEN 'Tax' WHEN 'credit' THEN 'Credit'
    WHEN 'other' THEN 'Adjustment' ELSE 'Usage'
  END,
  IF(p.charge_type = 'Refund' AND p.day < p.billing_period, 'Correction', NULL),
  COALESCE(p.product, p.product_order_name, p.meter_name, p.reservation_name),
  CASE
    WHEN p.kind IN ('usage', 'used', 'unused') THEN 'Usage-Based'
    WHEN p.frequency = 'Recurring' THEN 'Recurring'
    ELSE 'One-Time'
  END,
  TIMESTAMP(p.day), TIMESTAMP(DATE_ADD(p.day, INTERVAL 1 DAY)),
  IF(p.is_committed, p.commitment, NULL), IF(p.is_committed, IFNULL(p.benefit_name, p.reservation_name), NULL),
  IF(p.is_committed, IF(p.is_savings_plan, 'Spend', 'Usage'), NULL),
  IF(p.is_committed, IF(p.is_savings_plan, 'Savings Plan', 'Reservation'), NULL),
  IF(p.is_committed, CASE p.kind WHEN 'used' THEN 'Used' WHEN 'unused' THEN 'Unused' END, NULL),
  IF(
    p.is_committed AND p.kind IN ('used', 'unused'), IF(p.is_savings_plan, CAST(p.effective AS FLOAT64), p.priced_quantity), NULL),
  IF(
    p.is_committed AND p.kind IN ('used', 'unused') AND (p.is_savings_plan OR p.priced_quantity IS NOT NULL),
    IF(p.is_savings_plan, p.billed_in, p.unit_of_measure), NULL),
  IF(p.kind IN ('usage', 'used'), p.priced_quantity * p.block_size, NULL),
  IF(p.kind IN ('usage', 'used') AND p.priced_quantity IS NOT NULL, IFNULL(p.unit, 'Units'), NULL),
  p.contracted,
  IF(
    p.is_priced,
    GREATEST(0, IFNULL(SAFE_DIVIDE(CAST(p.contracted AS FLOAT64), p.priced_quantity), NULLIF(p.unit_price, 0) * p.rate)), NULL),
  p.effective, p.invoice_id, IFNULL(p.reseller_name, 'Microsoft'), p.listed,
  IF(
    p.is_priced,
    GREATEST(0, IFNULL(SAFE_DIVIDE(CAST(p.listed AS FLOAT64), p.priced_quantity), NULLIF(p.payg_price, 0) * p.rate)), NULL),
  CASE
    WHEN p.kind IN ('used', 'unused') THEN 'Committed'
    WHEN p.kind = 'usage' AND p.pricing_model = 'Spot' THEN 'Dynamic'
    WHEN p.is_priced THEN 'Standard'
  END,
  p.priced_in,
  IF(
    p.is_priced,
    GREATEST(0, IFNULL(SAFE_DIVIDE(CAST(p.contracted AS FLOAT64), p.priced_quantity * p.rate), NULLIF(p.unit_price, 0))), NULL),
  CAST(CAST(p.effective AS FLOAT64) / p.rate AS NUMERIC),
  IF(
    p.is_priced,
    GREATEST(0, IFNULL(SAFE_DIVIDE(CAST(p.listed AS FLOAT64), p.priced_quantity * p.rate), NULLIF(p.payg_price, 0))), NULL),
  p.priced_quantity, IF(p.priced_quantity IS NULL, NULL, p.unit_of_measure),
  'Microsoft',
  IF(IFNULL(p.publisher_type, 'Azure') = 'Marketplace', COALESCE(p.publisher_name, p.product, 'Marketplace'), 'Microsoft'),
  LOWER(REPLACE(p.region, ' ', '')), p.region,
  p.resource_id,
  IF(
    p.resource_id IS NULL OR p.kind IN ('unused', 'commitment'), NULL,
    COALESCE(p.resource_name, REGEXP_EXTRACT(p.resource_id, r'([^/]+)/?$'))),
  CASE
    WHEN p.resource_id IS NULL THEN NULL
    WHEN p.kind IN ('unused', 'commitment') THEN IF(p.is_savings_plan, 'Savings Plan', 'Reservation')
    ELSE COALESCE(
      LOWER(p.resource_type), LOWER(REGEXP_EXTRACT(p.resource_id, r'(?i)^.*/?providers/([^/]+/[^/]+)')), LOWER(p.consumed_service),
      'Unspecified')
  END,
  COALESCE(known.category, family.category, 'Other'),
  COALESCE(
    IF(LOWER(p.meter_category) = 'unassigned', NULL, p.meter_category), p.service_key, p.consumed_service,
    IF(p.publisher_type = 'Marketplace', p.publisher_name, NULL), p.product, 'Unspecified'),
  COALESCE(known.subcategory, family.subcategory, 'Other (Other)'),
  IF(p.is_priced, p.sku, NULL), IF(p.is_priced, p.meter_name, NULL),
  IF(p.is_priced, IF(p.meter_id IS NULL OR p.sku = p.meter_id, p.sku, CONCAT(p.sku, '/', p.meter_id)), NULL),
  IF(p.is_priced AND p.sku IS NOT NULL, NULLIF(TO_JSON_STRING(JSON_STRIP_NULLS(JSON_OBJECT(
    'CoreCount', SAFE_CAST(JSON_VALUE(p.details, '$.VCPUs') AS INT64), 'InstanceType', JSON_VALUE(p.details, '$.ServiceType'),
    'x_Term', p.term, 'x_OfferId', p.offer_id, 'x_PlanName', p.plan_name, 'x_MeterRegion', p.meter_region
  ))), '{}'), NULL),
  CONCAT('/subscriptions/', p.subscription), IF(p.subscription IS NULL, NULL, IFNULL(p.subscription_name, p.subscription)),
  IF(p.subscription IS NULL, NULL, 'Subscription'),
  IF(p.tags_json IS NULL, NULL, NULLIF(TO_JSON_STRING(p.tags_json), '{}')),
  'AZURE', p.source_id, '1.2',
  -- Costs are FLOAT64 here, because JSON refuses numbers that would lose digits. The exact costs are in their own columns.
  TO_JSON_STRING(JSON_STRIP_NULLS(JSON_OBJECT(
    'x_Dataset', p.dataset, 'x_ChargeType', p.charge_type, 'x_PricingModel', p.pricing_model, 'x_Frequency', p.frequency,
    'x_PublisherType', p.publisher_type, 'x_SkuMeterId', p.meter_id, 'x_SkuMeterCategory', p.meter_category,
    'x_SkuMeterSubcategory', p.meter_sub_category, 'x_SkuPartNumber', p.part_number, 'x_SkuServiceFamily', p.service_family,
    'x_SkuOrderId', p.product_order_id, 'x_SkuOrderName', p.product_order_name, 'x_ConsumedService', p.consumed_service,
    'x_ResourceGroupName', p.resource_group, 'x_CostCenter', p.cost_center, 'x_InvoiceSectionId', p.invoice_section_id,
    'x_InvoiceSectionName', p.section, 'x_BillingAccountId', p.billing_account_id, 'x_BillingAccountName', p.billing_account_name,
    'x_AccountName', p.account_name, 'x_AccountOwnerId', p.account_owner_id, 'x_CostAllocationRuleName', p.cost_allocation_rule_name,
    'x_AzureCreditEligible', p.is_azure_credit_eligible, 'x_PreviousInvoiceId', p.previous_invoice_id,
    'x_EffectiveUnitPrice', p.effective_price, 'x_ContractedUnitPrice', p.unit_price, 'x_ListUnitPrice', p.payg_price,
    'x_BillingExchangeRate', p.rate, 'x_BillingExchangeRateDate', CAST(p.exchange_rate_date AS STRING),
    'x_CostInUsd', CAST(p.cost_in_usd AS FLOAT64), 'x_CostInPricingCurrency', CAST(p.cost_in_pricing_currency AS FLOAT64),
    'x_ServicePeriodStart', CAST(p.service_period_start_date AS STRING),
    'x_ServicePeriodEnd', CAST(p.service_period_end_date AS STRING), 'x_ServiceInfo1', p.service_info1, 'x_ServiceInfo2', p.service_info2,
    'x_SkuDetails', p.details, 'x_Tags', IF(p.tags_json IS NULL, p.tags, NULL),
    'x_OtherColumns', SAFE.PARSE_JSON(p.other_columns, wide_number_mode => 'round')
  ))),
  p.billing_period, p.manifest_id,
  NULLIF(ARRAY_TO_STRING([
    IF(p.kind = 'used' AND IFNULL(p.unit_price, 0) = 0 AND p.effective != 0, 'ContractedCost', NULL),
    IF(
      p.kind IN ('usage', 'used') AND IFNULL(p.payg_price, 0) = 0 AND IFNULL(p.payg_cost_in_billing_currency, 0) = 0 AND p.effective != 0,
      'ListCost', NULL),
    IF(p.meter_category IS NULL AND p.service_key IS NULL AND p.consumed_service IS NULL AND p.publisher_name IS NULL, 'ServiceName', NULL)
  ], ','), '')
FROM priced AS p
LEFT JOIN UNNEST(services) AS known ON known.name = p.service_key
LEFT JOIN UNNEST([
  STRUCT('compute' AS name, 'Compute' AS category, 'Other (Compute)' AS subcategory),
  ('containers', 'Compute', 'Containers'),
  ('storage', 'Storage', 'Other (Storage)'),
  ('networking', 'Networking', 'Other (Networking)'),
  ('databases', 'Databases', 'Other (Databases)'),
  ('analytics', 'Analytics', 'Other (Analytics)'),
  ('ai + machine learning', 'AI and Machine Learning', 'Other (AI and Machine Learning)'),
  ('internet of things', 'Internet of Things', 'Other (Internet of Things)'),
  ('integration', 'Integration', 'Other (Integration)'),
  ('security', 'Security', 'Other (Security)'),
  ('identity', 'Identity', 'Other (Identity)'),
  ('management and governance', 'Management and Governance', 'Other (Management and Governance)'),
  ('developer tools', 'Developer Tools', 'Other (Developer Tools)'),
  ('web', 'Web', 'Other (Web)'),
  ('mobile', 'Mobile', 'Other (Mobile)'),
  ('media', 'Media', 'Other (Media)'),
  ('migration', 'Migration', 'Other (Migration)')
]) AS family ON family.name = LOWER(p.service_family) AND IFNULL(p.publisher_type, 'Azure') != 'Marketplace';
SET rows_staged = @@row_count;
COMMIT TRANSACTION;
SELECT rows_staged, CAST(NULL AS STRING) AS missing
