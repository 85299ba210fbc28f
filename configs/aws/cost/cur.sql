-- The SQL of cur.yml. The run's own staging tables replace x_staging_aws_cur and x_staging_focus_export. Each column's rule is in
-- docs/focus-aws-cur.md. FOCUS columns that the report cannot fill are not named here, so they are NULL.

-- name: cur_to_focus
-- Each line item becomes one row, with two exceptions:
--   - a commitment's fee that is partly unused becomes a second row, for the unused part;
--   - the negation of usage that a savings plan covers becomes no row: in FOCUS the covered usage itself has a BilledCost of 0.
-- Replayed, it replaces the staged rows.
-- Step by step: `lines` has the line items, each with its kind of charge; `paid` is the amount on the invoice. `offsets` has the sums by
-- which negations are matched with the usage that they negate. `parts` splits fees. `costs` has the costs of each part.
-- A discount is either a line item of its own, or it is subtracted within the line item (CUR 2.0 without manual discount compatibility);
-- then the net columns are the amounts paid. A report uses only one of the two.
DECLARE rows_staged INT64;
-- Categories by product code. The Marketplace's product codes are random, so its products are Other.
DECLARE services ARRAY<STRUCT<code STRING, category STRING, subcategory STRING>> DEFAULT [
  STRUCT('AmazonEC2' AS code, 'Compute' AS category, 'Virtual Machines' AS subcategory),
  ('AmazonECS', 'Compute', 'Containers'),
  ('AmazonEKS', 'Compute', 'Containers'),
  ('AmazonECR', 'Developer Tools', 'Developer Platforms'),
  ('AmazonECRPublic', 'Developer Tools', 'Developer Platforms'),
  ('AWSLambda', 'Compute', 'Serverless Compute'),
  ('AmazonLightsail', 'Compute', 'Virtual Machines'),
  ('AWSAppRunner', 'Compute', 'Containers'),
  ('AWSBatch', 'Compute', 'Other (Compute)'),
  ('AWSOutposts', 'Compute', 'Other (Compute)'),
  ('AWSParallelComputingService', 'Compute', 'Other (Compute)'),
  ('AmazonWorkSpaces', 'Compute', 'End User Computing'),
  ('AmazonWorkSpacesWeb', 'Compute', 'End User Computing'),
  ('AmazonAppStream', 'Compute', 'End User Computing'),
  ('AmazonBraket', 'Compute', 'Quantum Compute'),
  ('ComputeSavingsPlans', 'Compute', 'Other (Compute)'),
  ('OCBEC2', 'Compute', 'Virtual Machines'),
  ('ElasticMapReduce', 'Analytics', 'Data Processing'),
  ('AWSElasticBeanstalk', 'Web', 'Application Platforms'),
  ('AWSAmplify', 'Web', 'Application Platforms'),
  ('AmazonS3', 'Storage', 'Object Storage'),
  ('AmazonS3GlacierDeepArchive', 'Storage', 'Object Storage'),
  ('AmazonGlacier', 'Storage', 'Object Storage'),
  ('AmazonEFS', 'Storage', 'File Storage'),
  ('AmazonFSx', 'Storage', 'File Storage'),
  ('AWSBackup', 'Storage', 'Backup Storage'),
  ('AWSStorageGateway', 'Storage', 'Storage Platforms'),
  ('AWSStorageGatewayDeepArchive', 'Storage', 'Object Storage'),
  ('AmazonRDS', 'Databases', 'Relational Databases'),
  ('AmazonAuroraDSQL', 'Databases', 'Relational Databases'),
  ('DatabaseSavingsPlans', 'Databases', 'Other (Databases)'),
  ('AmazonDynamoDB', 'Databases', 'NoSQL Databases'),
  ('AmazonDAX', 'Databases', 'Caching'),
  ('AmazonDocDB', 'Databases', 'NoSQL Databases'),
  ('AmazonMCS', 'Databases', 'NoSQL Databases'),
  ('AmazonNeptune', 'Databases', 'NoSQL Databases'),
  ('AmazonElastiCache', 'Databases', 'Caching'),
  ('AmazonMemoryDB', 'Databases', 'Caching'),
  ('AmazonRedshift', 'Databases', 'Data Warehouses'),
  ('AmazonTimestream', 'Databases', 'Time Series Databases'),
  ('AmazonQLDB', 'Databases', 'Ledger Databases'),
  ('AmazonSimpleDB', 'Databases', 'NoSQL Databases'),
  ('AmazonAthena', 'Analytics', 'Data Processing'),
  ('AWSGlue', 'Analytics', 'Data Processing'),
  ('AWSLakeFormation', 'Analytics', 'Data Processing'),
  ('AmazonKinesis', 'Analytics', 'Streaming Analytics'),
  ('AmazonKinesisAnalytics', 'Analytics', 'Streaming Analytics'),
  ('AmazonKinesisFirehose', 'Analytics', 'Streaming Analytics'),
  ('AmazonKinesisVideo', 'Media', 'Media Streaming'),
  ('AmazonMSK', 'Integration', 'Messaging'),
  ('AmazonES', 'Analytics', 'Search'),
  ('AmazonCloudSearch', 'Analytics', 'Search'),
  ('AmazonQuickSight', 'Analytics', 'Business Intelligence'),
  ('AWSDataExchange', 'Analytics', 'Other (Analytics)'),
  ('AWSCleanRooms', 'Analytics', 'Other (Analytics)'),
  ('AmazonFinSpace', 'Analytics', 'Analytics Platforms'),
  ('AmazonDataZone', 'Management and Governance', 'Data Governance'),
  ('datapipeline', 'Analytics', 'Data Processing'),
  ('AmazonSageMaker', 'AI and Machine Learning', 'AI Platforms'),
  ('MachineLearningSavingsPlans', 'AI and Machine Learning', 'Other (AI and Machine Learning)'),
  ('AmazonBedrock', 'AI and Machine Learning', 'Generative AI'),
  ('AmazonBedrockAgentCore', 'AI and Machine Learning', 'Generative AI'),
  ('AmazonQ', 'AI and Machine Learning', 'Generative AI'),
  ('AmazonRekognition', 'AI and Machine Learning', 'Machine Learning'),
  ('AmazonTextract', 'AI and Machine Learning', 'Machine Learning'),
  ('AmazonForecast', 'AI and Machine Learning', 'Machine Learning'),
  ('AmazonPersonalize', 'AI and Machine Learning', 'Machine Learning'),
  ('AmazonFraudDetector', 'AI and Machine Learning', 'Machine Learning'),
  ('comprehend', 'AI and Machine Learning', 'Natural Language Processing'),
  ('translate', 'AI and Machine Learning', 'Natural Language Processing'),
  ('transcribe', 'AI and Machine Learning', 'Machine Learning'),
  ('AmazonPolly', 'AI and Machine Learning', 'Machine Learning'),
  ('AmazonLex', 'AI and Machine Learning', 'Bots'),
  ('AmazonKendra', 'AI and Machine Learning', 'Natural Language Processing'),
  ('AmazonVPC', 'Networking', 'Network Infrastructure'),
  ('AWSDataTransfer', 'Networking', 'Network Connectivity'),
  ('AWSDirectConnect', 'Networking', 'Network Connectivity'),
  ('AWSCloudWAN', 'Networking', 'Network Connectivity'),
  ('AWSGlobalAccelerator', 'Networking', 'Network Routing'),
  ('AmazonCloudFront', 'Networking', 'Content Delivery'),
  ('AmazonRoute53', 'Networking', 'Network Routing'),
  ('AmazonRegistrar', 'Networking', 'Network Routing'),
  ('AWSELB', 'Networking', 'Application Networking'),
  ('AWSPrivateNetworks', 'Networking', 'Network Connectivity'),
  ('AWSAppMesh', 'Networking', 'Application Networking'),
  ('AmazonVPCLattice', 'Networking', 'Application Networking'),
  ('AWSNetworkFirewall', 'Networking', 'Network Security'),
  ('AWSFMS', 'Networking', 'Network Security'),
  ('awswaf', 'Networking', 'Network Security'),
  ('AWSShield', 'Networking', 'Network Security'),
  ('AmazonGroundStation', 'Networking', 'Other (Networking)'),
  ('AmazonApiGateway', 'Integration', 'API Management'),
  ('AWSAppSync', 'Integration', 'API Management'),
  ('AmazonMQ', 'Integration', 'Messaging'),
  ('AWSQueueService', 'Integration', 'Messaging'),
  ('AmazonSNS', 'Integration', 'Messaging'),
  ('AmazonStates', 'Integration', 'Workflow Orchestration'),
  ('AWSEvents', 'Integration', 'Messaging'),
  ('AmazonMWAA', 'Integration', 'Workflow Orchestration'),
  ('AmazonSWF', 'Integration', 'Workflow Orchestration'),
  ('AmazonAppFlow', 'Integration', 'Other (Integration)'),
  ('AWSB2Bi', 'Integration', 'Other (Integration)'),
  ('AmazonSES', 'Business Applications', 'Productivity and Collaboration'),
  ('AmazonPinpoint', 'Business Applications', 'Other (Business Applications)'),
  ('AWSEndUserMessaging', 'Business Applications', 'Other (Business Applications)'),
  ('AmazonWorkMail', 'Business Applications', 'Productivity and Collaboration'),
  ('AmazonWorkDocs', 'Business Applications', 'Productivity and Collaboration'),
  ('AmazonChimeBusinessCalling', 'Business Applications', 'Productivity and Collaboration'),
  ('AmazonChime', 'Business Applications', 'Productivity and Collaboration'),
  ('AmazonConnect', 'Business Applications', 'Other (Business Applications)'),
  ('ContactCenterTelecomm', 'Business Applications', 'Other (Business Applications)'),
  ('AWSSupplyChain', 'Business Applications', 'Other (Business Applications)'),
  ('AmazonCloudWatch', 'Management and Governance', 'Observability'),
  ('AWSXRay', 'Management and Governance', 'Observability'),
  ('AmazonPrometheus', 'Management and Governance', 'Observability'),
  ('AmazonGrafana', 'Management and Governance', 'Observability'),
  ('AWSCloudTrail', 'Management and Governance', 'Compliance'),
  ('AWSConfig', 'Management and Governance', 'Compliance'),
  ('AWSAuditManager', 'Management and Governance', 'Compliance'),
  ('AWSSystemsManager', 'Management and Governance', 'Endpoint Management'),
  ('AWSCloudFormation', 'Management and Governance', 'Architecture'),
  ('AWSServiceCatalog', 'Management and Governance', 'Other (Management and Governance)'),
  ('AWSControlTower', 'Management and Governance', 'Other (Management and Governance)'),
  ('AWSCostExplorer', 'Management and Governance', 'Cost Management'),
  ('AWSBudgets', 'Management and Governance', 'Cost Management'),
  ('AWSResilienceHub', 'Management and Governance', 'Disaster Recovery'),
  ('AWSDisasterRecovery', 'Management and Governance', 'Disaster Recovery'),
  ('AWSSupportBusiness', 'Management and Governance', 'Support'),
  ('AWSSupportEnterprise', 'Management and Governance', 'Support'),
  ('AWSDeveloperSupport', 'Management and Governance', 'Support'),
  ('AWSEnterpriseOnRampSupport', 'Management and Governance', 'Support'),
  ('awskms', 'Security', 'Secret Management'),
  ('AWSSecretsManager', 'Security', 'Secret Management'),
  ('AWSCertificateManager', 'Security', 'Secret Management'),
  ('CloudHSM', 'Security', 'Secret Management'),
  ('AWSPaymentCryptography', 'Security', 'Secret Management'),
  ('AmazonGuardDuty', 'Security', 'Threat Detection and Response'),
  ('AmazonDetective', 'Security', 'Threat Detection and Response'),
  ('AmazonInspector', 'Security', 'Security Posture Management'),
  ('AmazonInspectorV2', 'Security', 'Security Posture Management'),
  ('AWSSecurityHub', 'Security', 'Security Posture Management'),
  ('AmazonMacie', 'Security', 'Other (Security)'),
  ('AmazonSecurityLake', 'Security', 'Other (Security)'),
  ('AmazonCognito', 'Identity', 'Identity and Access Management'),
  ('AWSDirectoryService', 'Identity', 'Identity and Access Management'),
  ('AmazonVerifiedPermissions', 'Identity', 'Identity and Access Management'),
  ('AWSIAMAccessAnalyzer', 'Identity', 'Identity and Access Management'),
  ('CodeBuild', 'Developer Tools', 'Continuous Integration and Deployment'),
  ('AWSCodePipeline', 'Developer Tools', 'Continuous Integration and Deployment'),
  ('AWSCodeDeploy', 'Developer Tools', 'Continuous Integration and Deployment'),
  ('AWSCodeCommit', 'Developer Tools', 'Source Code Management'),
  ('AWSCodeArtifact', 'Developer Tools', 'Developer Platforms'),
  ('AmazonCodeGuru', 'Developer Tools', 'Quality Assurance'),
  ('AWSDeviceFarm', 'Developer Tools', 'Quality Assurance'),
  ('AWSFIS', 'Developer Tools', 'Quality Assurance'),
  ('AWSCloud9', 'Developer Tools', 'Development Environments'),
  ('AWSIoT', 'Internet of Things', 'IoT Platforms'),
  ('AWSIoTAnalytics', 'Internet of Things', 'IoT Analytics'),
  ('AWSIoTDeviceManagement', 'Internet of Things', 'IoT Platforms'),
  ('AWSIoTDeviceDefender', 'Internet of Things', 'Other (Internet of Things)'),
  ('AWSIoTSiteWise', 'Internet of Things', 'IoT Platforms'),
  ('AWSGreengrass', 'Internet of Things', 'IoT Platforms'),
  ('AWSElementalMediaConvert', 'Media', 'Content Creation'),
  ('AWSElementalMediaLive', 'Media', 'Media Streaming'),
  ('AWSElementalMediaPackage', 'Media', 'Media Streaming'),
  ('AWSElementalMediaConnect', 'Media', 'Media Streaming'),
  ('AWSElementalMediaTailor', 'Media', 'Media Streaming'),
  ('AWSElementalMediaStore', 'Media', 'Media Streaming'),
  ('AmazonIVS', 'Media', 'Media Streaming'),
  ('AmazonGameLift', 'Media', 'Gaming'),
  ('AWSDatabaseMigrationSvc', 'Migration', 'Data Migration'),
  ('AWSDataSync', 'Migration', 'Data Migration'),
  ('AWSTransfer', 'Migration', 'Data Migration'),
  ('IngestionServiceSnowball', 'Migration', 'Data Migration'),
  ('AWSMigrationHubRefactorSpaces', 'Migration', 'Resource Migration'),
  ('AWSApplicationMigrationSvc', 'Migration', 'Resource Migration'),
  ('AWSM2', 'Migration', 'Resource Migration'),
  ('AmazonLocationService', 'Web', 'Other (Web)')
];
BEGIN TRANSACTION;
DELETE FROM x_staging_focus_export WHERE TRUE;
INSERT INTO x_staging_focus_export (
  x_UsageDate, AvailabilityZone, BilledCost, BillingAccountId, BillingAccountName, BillingAccountType, BillingCurrency,
  BillingPeriodStart, BillingPeriodEnd, CapacityReservationId, CapacityReservationStatus,
  ChargeCategory, ChargeClass, ChargeDescription, ChargeFrequency, ChargePeriodStart, ChargePeriodEnd,
  CommitmentDiscountId, CommitmentDiscountCategory, CommitmentDiscountType, CommitmentDiscountStatus,
  CommitmentDiscountQuantity, CommitmentDiscountUnit, ConsumedQuantity, ConsumedUnit,
  ContractedCost, ContractedUnitPrice, EffectiveCost, InvoiceId, InvoiceIssuerName, ListCost, ListUnitPrice,
  PricingCategory, PricingCurrency, PricingCurrencyContractedUnitPrice, PricingCurrencyEffectiveCost, PricingCurrencyListUnitPrice,
  PricingQuantity, PricingUnit, ProviderName, PublisherName, RegionId, RegionName, ResourceId, ResourceName, ResourceType,
  ServiceCategory, ServiceName, ServiceSubcategory, SkuId, SkuMeter, SkuPriceId, SkuPriceDetails,
  SubAccountId, SubAccountName, SubAccountType, Tags,
  x_Provider, x_SourceId, x_FocusVersion, x_ProviderColumns, x_BillingPeriod, x_ManifestId, x_SourceChanges
)
WITH tagged AS (
  -- Rows of one resource have the same tags, so each text is read once. Keys and values stay escaped as in that text.
  SELECT k.resource_tags, CONCAT('{', STRING_AGG(CONCAT('"', k.key, '":', k.value), ',' ORDER BY k.key), '}') AS tags
  FROM (
    SELECT
      one.resource_tags,
      -- FOCUS keeps the keys of user-defined tags and requires a prefix for the provider's. user_ and aws_: Parquet has no colons.
      IF(
        REGEXP_CONTAINS(one.key, r'^user[:_]'), REGEXP_REPLACE(one.key, r'^user[:_]', ''), REGEXP_REPLACE(one.key, r'^aws[:_]', 'aws:')
      ) AS key,
      MIN(one.value) AS value
    FROM (
      SELECT
        list.resource_tags, REGEXP_EXTRACT(pair, r'^"((?:[^"\\]|\\.)*)"') AS key,
        REGEXP_EXTRACT(pair, r'^"(?:[^"\\]|\\.)*"\s*:\s*(.*)$') AS value
      FROM (SELECT DISTINCT c.resource_tags FROM x_staging_aws_cur AS c WHERE c.resource_tags IS NOT NULL) AS list
      -- A value that is itself JSON is not quoted: ["a","b"], {"a":1}, 7.
      CROSS JOIN UNNEST(REGEXP_EXTRACT_ALL(
        list.resource_tags, r'"(?:[^"\\]|\\.)*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\{[^}]*\}|[-+.0-9eE]+|true|false)')) AS pair
    ) AS one
    GROUP BY one.resource_tags, key
  ) AS k
  GROUP BY k.resource_tags
),
lines AS (
  SELECT
    c.source_id, c.billing_period, c.manifest_id, c.discount_total_discount, c.identity_line_item_id, c.bill_bill_type,
    c.bill_billing_entity, c.bill_billing_period_start_date, c.bill_invoice_id, c.bill_invoicing_entity, c.bill_payer_account_id,
    c.bill_payer_account_name, c.capacity_reservation_capacity_reservation_arn, c.capacity_reservation_capacity_reservation_status,
    c.line_item_availability_zone, c.line_item_legal_entity, c.line_item_line_item_description, c.line_item_line_item_type,
    c.line_item_net_unblended_cost, c.line_item_normalized_usage_amount, c.line_item_operation, c.line_item_product_code,
    c.line_item_resource_id, c.line_item_tax_type, c.line_item_unblended_cost, c.line_item_unblended_rate, c.line_item_usage_account_id,
    c.line_item_usage_account_name, c.line_item_usage_amount, c.line_item_usage_end_date, c.line_item_usage_start_date,
    c.line_item_usage_type, c.pricing_currency, c.pricing_lease_contract_length, c.pricing_offering_class, c.pricing_public_on_demand_cost,
    c.pricing_public_on_demand_rate, c.pricing_purchase_option, c.pricing_term, c.product_from_location,
    c.product_instance_type, c.product_location, c.product_location_type, c.product_operation, c.product_product_family,
    c.product_to_location, c.reservation_effective_cost, c.reservation_net_effective_cost,
    c.reservation_net_unused_amortized_upfront_fee_for_billing_period, c.reservation_net_unused_recurring_fee,
    c.reservation_subscription_id, c.reservation_total_reserved_units, c.reservation_unused_amortized_upfront_fee_for_billing_period,
    c.reservation_unused_quantity, c.reservation_unused_recurring_fee, c.savings_plan_amortized_upfront_commitment_for_billing_period,
    c.savings_plan_net_amortized_upfront_commitment_for_billing_period, c.savings_plan_net_recurring_commitment_for_billing_period,
    c.savings_plan_net_savings_plan_effective_cost, c.savings_plan_offering_type, c.savings_plan_payment_option,
    c.savings_plan_recurring_commitment_for_billing_period, c.savings_plan_savings_plan_effective_cost,
    c.savings_plan_total_commitment_to_date, c.savings_plan_used_commitment, c.product, c.resource_tags, c.tags, c.cost_category,
    c.discount, c.other_columns,
    IFNULL(c.line_item_unblended_cost, 0) AS unblended,
    COALESCE(c.line_item_currency_code, c.pricing_currency) AS currency,
    c.savings_plan_savings_plan_arn IS NOT NULL OR STARTS_WITH(c.line_item_line_item_type, 'SavingsPlan') AS is_savings_plan,
    COALESCE(c.savings_plan_savings_plan_arn, c.reservation_reservation_arn) AS commitment,
    CASE
      WHEN c.line_item_line_item_type = 'Usage' THEN 'usage'
      WHEN c.line_item_line_item_type = 'DiscountedUsage' THEN 'reserved'
      WHEN c.line_item_line_item_type = 'SavingsPlanCoveredUsage' THEN 'planned'
      WHEN c.line_item_line_item_type = 'SavingsPlanNegation' THEN 'negation'
      WHEN c.line_item_line_item_type IN ('SavingsPlanUpfrontFee', 'SavingsPlanRecurringFee', 'RIFee') THEN 'commitment'
      WHEN c.line_item_line_item_type = 'Fee' AND c.reservation_reservation_arn IS NOT NULL THEN 'commitment'
      WHEN c.line_item_line_item_type = 'Fee' THEN 'fee'
      WHEN c.line_item_line_item_type = 'Tax' THEN 'tax'
      WHEN c.line_item_line_item_type = 'Credit' THEN 'credit'
      WHEN ENDS_WITH(c.line_item_line_item_type, 'Discount') THEN 'discount'
      WHEN c.line_item_line_item_type = 'Refund' THEN 'refund'
      ELSE 'other'
    END AS kind,
    COUNTIF(ENDS_WITH(c.line_item_line_item_type, 'Discount')) OVER (PARTITION BY c.source_id, c.billing_period) AS discount_lines,
    -- Some line items lack the name of their service: it is taken from others with the same product code.
    COALESCE(
      c.product_product_name, JSON_VALUE(c.product, '$.product_name'), JSON_VALUE(c.product, '$.ProductName'),
      MAX(c.product_product_name) OVER (PARTITION BY c.line_item_product_code),
      MAX(JSON_VALUE(c.product, '$.product_name')) OVER (PARTITION BY c.line_item_product_code),
      c.product_servicename, JSON_VALUE(c.product, '$.servicename'), c.line_item_product_code
    ) AS service,
    COALESCE(
      c.product_region_code, c.product_region, JSON_VALUE(c.product, '$.region_code'), JSON_VALUE(c.product, '$.region'),
      REGEXP_EXTRACT(c.line_item_availability_zone, r'^([a-z]{2}(?:-[a-z]+)+-[0-9]+)[a-z]?$')
    ) AS region,
    COALESCE(c.product_sku, JSON_VALUE(c.product, '$.sku')) AS sku,
    COALESCE(c.pricing_rate_code, c.pricing_rate_id) AS price_id,
    COALESCE(c.pricing_unit, c.product_pricing_unit) AS unit
  FROM x_staging_aws_cur AS c
),
paid AS (
  SELECT
    l.*,
    l.discount_lines = 0 AND IFNULL(l.discount_total_discount, 0) != 0 AND l.line_item_net_unblended_cost IS NOT NULL AS is_net,
    IF(
      l.discount_lines = 0 AND IFNULL(l.discount_total_discount, 0) != 0, IFNULL(l.line_item_net_unblended_cost, l.unblended), l.unblended
    ) AS paid
  FROM lines AS l
),
offsets AS (
  SELECT
    p.*,
    SUM(IF(p.kind = 'planned', p.paid, 0)) OVER same AS planned_cost,
    SUM(IF(p.kind = 'negation', p.paid, 0)) OVER same AS negated_cost,
    CASE p.line_item_line_item_type
      WHEN 'SavingsPlanRecurringFee' THEN CAST(
        (p.savings_plan_total_commitment_to_date - p.savings_plan_used_commitment) * IF(
          p.is_net,
          IFNULL(SAFE_DIVIDE(
            p.savings_plan_net_recurring_commitment_for_billing_period
            + IFNULL(p.savings_plan_net_amortized_upfront_commitment_for_billing_period, 0),
            p.savings_plan_recurring_commitment_for_billing_period
            + IFNULL(p.savings_plan_amortized_upfront_commitment_for_billing_period, 0)), 1),
          1) AS NUMERIC)
      WHEN 'RIFee' THEN IF(
        p.is_net AND p.reservation_net_unused_recurring_fee IS NOT NULL,
        p.reservation_net_unused_recurring_fee + IFNULL(p.reservation_net_unused_amortized_upfront_fee_for_billing_period, 0),
        p.reservation_unused_recurring_fee + IFNULL(p.reservation_unused_amortized_upfront_fee_for_billing_period, 0))
    END AS unused_cost
  FROM paid AS p
  WINDOW same AS (
    PARTITION BY p.source_id, p.billing_period, p.line_item_usage_account_id, p.line_item_product_code, p.currency
  )
),
parts AS (
  SELECT o.* REPLACE(IF(part = 'unused', 'unused', o.kind) AS kind)
  FROM offsets AS o
  CROSS JOIN UNNEST(IF(IFNULL(o.unused_cost, 0) != 0, ['whole', 'unused'], ['whole'])) AS part
  -- Leaves out negations that cancel their usage exactly: that usage has a BilledCost of 0.
  WHERE NOT (o.kind = 'negation' AND o.planned_cost != 0 AND ABS(o.planned_cost + o.negated_cost) <= 0.005)
),
costs AS (
  SELECT
    q.*,
    CASE
      WHEN q.kind = 'unused' THEN 0
      WHEN q.kind = 'planned' AND q.negated_cost != 0 THEN 0
      -- The negation keeps the difference between its amount and the covered usage.
      WHEN q.kind = 'negation' AND q.negated_cost != 0 THEN
        q.paid + CAST(CAST(q.planned_cost AS FLOAT64) * CAST(q.paid AS FLOAT64) / CAST(q.negated_cost AS FLOAT64) AS NUMERIC)
      ELSE q.paid
    END AS billed,
    CASE q.kind
      WHEN 'unused' THEN q.unused_cost
      WHEN 'commitment' THEN 0
      WHEN 'negation' THEN 0
      WHEN 'reserved' THEN COALESCE(IF(q.is_net, q.reservation_net_effective_cost, NULL), q.reservation_effective_cost, q.paid)
      WHEN 'planned' THEN COALESCE(
        IF(q.is_net, q.savings_plan_net_savings_plan_effective_cost, NULL), q.savings_plan_savings_plan_effective_cost, q.paid)
      ELSE q.paid
    END AS effective,
    CASE
      WHEN q.kind IN ('usage', 'reserved', 'planned', 'fee', 'commitment') THEN q.line_item_usage_amount
      WHEN q.kind = 'unused' AND q.is_savings_plan THEN CAST(q.unused_cost AS FLOAT64)
      WHEN q.kind = 'unused' THEN q.reservation_unused_quantity
    END AS quantity,
    CASE
      WHEN q.kind = 'unused' AND q.is_savings_plan THEN q.currency
      WHEN q.kind = 'unused' THEN COALESCE(q.unit, 'Hrs')
      ELSE q.unit
    END AS quantity_unit
  FROM parts AS q
),
charges AS (
  SELECT
    k.*,
    k.kind IN ('usage', 'reserved', 'planned', 'unused', 'fee', 'commitment') AS is_priced,
    k.kind IN ('reserved', 'planned', 'unused', 'commitment') AND k.commitment IS NOT NULL AS is_committed,
    CASE k.kind
      WHEN 'unused' THEN k.unused_cost
      WHEN 'reserved' THEN COALESCE(k.pricing_public_on_demand_cost, k.effective)
      WHEN 'planned' THEN k.paid
      ELSE k.billed
    END AS contracted,
    CASE
      WHEN k.kind = 'unused' THEN k.unused_cost
      -- A negotiated discount lowers the contracted price, not the list price.
      WHEN k.kind = 'discount' THEN 0
      WHEN k.kind IN ('usage', 'fee') THEN IF(
        IFNULL(k.pricing_public_on_demand_cost, 0) = 0, k.unblended, k.pricing_public_on_demand_cost)
      WHEN k.kind = 'reserved' THEN COALESCE(k.pricing_public_on_demand_cost, k.effective)
      WHEN k.kind = 'planned' THEN COALESCE(NULLIF(k.pricing_public_on_demand_cost, 0), k.unblended)
      ELSE k.billed
    END AS listed,
    CASE
      WHEN k.kind IN ('unused', 'commitment') THEN COALESCE(k.commitment, k.line_item_resource_id)
      ELSE k.line_item_resource_id
    END AS resource,
    IF(LOWER(k.region) IN ('global', 'any', 'none'), NULL, k.region) AS region_id,
    IF(
      k.kind IN ('usage', 'reserved', 'planned', 'unused', 'fee', 'commitment') AND k.quantity_unit IS NOT NULL, k.quantity, NULL
    ) AS priced_quantity,
    IF(EXTRACT(SECOND FROM k.line_item_usage_end_date) = 59, TIMESTAMP_ADD(k.line_item_usage_end_date, INTERVAL 1 SECOND),
      k.line_item_usage_end_date) AS ends_at,
    COALESCE(k.line_item_usage_start_date, k.bill_billing_period_start_date, TIMESTAMP(k.billing_period)) AS starts_at,
    COALESCE(k.bill_invoicing_entity, IF(k.bill_billing_entity = 'AWS Marketplace', NULL, k.line_item_legal_entity)) AS issuer
  FROM costs AS k
),
priced AS (
  SELECT
    h.*,
    CASE
      WHEN NOT h.is_priced THEN NULL
      WHEN IFNULL(h.priced_quantity, 0) != 0 THEN GREATEST(0, CAST(h.listed AS FLOAT64) / h.priced_quantity)
      ELSE h.pricing_public_on_demand_rate
    END AS list_price,
    CASE
      WHEN NOT h.is_priced THEN NULL
      WHEN IFNULL(h.priced_quantity, 0) != 0 THEN GREATEST(0, CAST(h.contracted AS FLOAT64) / h.priced_quantity)
      ELSE h.line_item_unblended_rate
    END AS contracted_price,
    h.pricing_currency IS NULL OR h.pricing_currency = h.currency AS is_one_currency
  FROM charges AS h
)
SELECT
  DATE(c.starts_at),
  IF(REGEXP_CONTAINS(c.line_item_availability_zone, r'[0-9][a-z]$'), c.line_item_availability_zone, NULL),
  c.billed, c.bill_payer_account_id, c.bill_payer_account_name, 'Payer Account', c.currency,
  TIMESTAMP(c.billing_period), TIMESTAMP(DATE_ADD(c.billing_period, INTERVAL 1 MONTH)),
  IF(c.capacity_reservation_capacity_reservation_status IN ('used', 'unused'), c.capacity_reservation_capacity_reservation_arn, NULL),
  IF(
    c.capacity_reservation_capacity_reservation_arn IS NULL, NULL,
    CASE c.capacity_reservation_capacity_reservation_status WHEN 'used' THEN 'Used' WHEN 'unused' THEN 'Unused' END),
  CASE c.kind
    WHEN 'commitment' THEN 'Purchase' WHEN 'fee' THEN 'Purchase' WHEN 'tax' THEN 'Tax' WHEN 'credit' THEN 'Credit'
    WHEN 'refund' THEN 'Adjustment' WHEN 'negation' THEN 'Adjustment' WHEN 'other' THEN 'Adjustment' ELSE 'Usage'
  END,
  IF(c.kind = 'refund' AND DATE(c.starts_at) < c.billing_period, 'Correction', NULL),
  c.line_item_line_item_description,
  CASE
    WHEN c.line_item_line_item_type IN ('SavingsPlanRecurringFee', 'RIFee') AND c.kind = 'commitment' THEN 'Recurring'
    WHEN c.kind IN ('usage', 'reserved', 'planned', 'unused', 'discount') THEN 'Usage-Based'
    ELSE 'One-Time'
  END,
  c.starts_at, GREATEST(c.starts_at, IFNULL(c.ends_at, c.starts_at)),
  IF(c.is_committed, c.commitment, NULL),
  IF(c.is_committed, IF(c.is_savings_plan, 'Spend', 'Usage'), NULL),
  IF(c.is_committed, IF(c.is_savings_plan, 'Savings Plan', 'Reserved Instance'), NULL),
  IF(c.is_committed, CASE WHEN c.kind = 'unused' THEN 'Unused' WHEN c.kind = 'commitment' THEN NULL ELSE 'Used' END, NULL),
  IF(c.is_committed, c.committed, NULL), IF(c.is_committed AND c.committed IS NOT NULL, c.committed_unit, NULL),
  IF(c.kind IN ('usage', 'reserved', 'planned'), c.priced_quantity, NULL),
  IF(c.kind IN ('usage', 'reserved', 'planned') AND c.priced_quantity IS NOT NULL, c.quantity_unit, NULL),
  c.contracted, c.contracted_price, c.effective,
  -- AWS writes 'Estimated' until the invoice exists.
  NULLIF(c.bill_invoice_id, 'Estimated'),
  IFNULL(c.issuer, 'AWS'), c.listed, c.list_price,
  CASE
    WHEN c.kind IN ('reserved', 'planned', 'unused') THEN 'Committed'
    WHEN c.kind = 'discount' THEN 'Other'
    WHEN c.kind = 'usage' AND REGEXP_CONTAINS(c.line_item_usage_type, r'SpotUsage|FargateSpot|Spot-') THEN 'Dynamic'
    WHEN c.is_priced THEN 'Standard'
  END,
  IFNULL(c.pricing_currency, c.currency), IF(c.is_one_currency, c.contracted_price, NULL), IF(c.is_one_currency, c.effective, NULL),
  IF(c.is_one_currency, c.list_price, NULL),
  c.priced_quantity, IF(c.priced_quantity IS NULL, NULL, c.quantity_unit),
  'AWS', IF(c.bill_billing_entity = 'AWS Marketplace', COALESCE(c.line_item_legal_entity, c.service, 'AWS Marketplace'), 'AWS'),
  c.region_id,
  IF(
    c.region_id IS NULL, NULL,
    COALESCE(IF(IFNULL(c.product_location_type, 'AWS Region') = 'AWS Region', c.product_location, NULL), c.region_id)),
  c.resource, IF(c.resource IS NULL OR c.kind IN ('unused', 'commitment'), NULL, JSON_VALUE(t.tags, '$.Name')),
  CASE
    WHEN c.resource IS NULL THEN NULL
    WHEN c.kind IN ('unused', 'commitment') THEN IF(c.is_savings_plan, 'Savings Plan', 'Reserved Instance')
    WHEN STARTS_WITH(c.resource, 'arn:') THEN CONCAT(
      IFNULL(REGEXP_EXTRACT(c.resource, r'^arn:[^:]*:([^:]+):'), 'AWS'),
      IFNULL(CONCAT(':', REGEXP_EXTRACT(c.resource, r'^arn:[^:]*:[^:]*:[^:]*:[^:]*:([A-Za-z0-9-]+)[:/]')), ''))
    ELSE COALESCE(
      CASE REGEXP_EXTRACT(c.resource, r'^([a-z]+)-[0-9a-f]+$')
        WHEN 'i' THEN 'ec2:instance' WHEN 'vol' THEN 'ec2:volume' WHEN 'snap' THEN 'ec2:snapshot' WHEN 'nat' THEN 'ec2:natgateway'
        WHEN 'eni' THEN 'ec2:network-interface' WHEN 'vpce' THEN 'ec2:vpc-endpoint' WHEN 'tgw' THEN 'ec2:transit-gateway'
        WHEN 'eipalloc' THEN 'ec2:elastic-ip' WHEN 'fs' THEN 'efs:file-system'
      END,
      c.product_product_family, c.service, 'Unspecified')
  END,
  IFNULL(known.category, 'Other'), IFNULL(c.service, 'Unspecified'), IFNULL(known.subcategory, 'Other (Other)'),
  IF(c.is_priced, c.sku, NULL), IF(c.is_priced, c.line_item_usage_type, NULL), IF(c.is_priced, c.price_id, NULL),
  IF(c.is_priced AND c.price_id IS NOT NULL, NULLIF(TO_JSON_STRING(JSON_STRIP_NULLS(JSON_OBJECT(
    'CoreCount', SAFE_CAST(COALESCE(JSON_VALUE(c.product, '$.vcpu'), JSON_VALUE(c.product, '$.Vcpu')) AS INT64),
    'InstanceType', COALESCE(c.product_instance_type, JSON_VALUE(c.product, '$.instance_type')),
    'OperatingSystem', COALESCE(JSON_VALUE(c.product, '$.operating_system'), JSON_VALUE(c.product, '$.operatingSystem')),
    'x_Term', c.pricing_term, 'x_LeaseContractLength', c.pricing_lease_contract_length, 'x_OfferingClass', c.pricing_offering_class,
    'x_PurchaseOption', c.pricing_purchase_option
  ))), '{}'), NULL),
  c.line_item_usage_account_id, IFNULL(c.line_item_usage_account_name, c.line_item_usage_account_id),
  IF(c.line_item_usage_account_id IS NULL, NULL, 'Linked Account'), t.tags,
  'AWS', c.source_id, '1.2',
  -- Costs are FLOAT64 here, because JSON refuses numbers that would lose digits. The exact costs are in their own columns.
  TO_JSON_STRING(JSON_STRIP_NULLS(JSON_OBJECT(
    'x_RowPart', IF(c.kind IN ('unused', 'negation'), c.kind, NULL), 'x_ServiceCode', c.line_item_product_code,
    'x_Operation', c.line_item_operation, 'x_UsageType', c.line_item_usage_type,
    'x_CostCategories', SAFE.PARSE_JSON(c.cost_category, wide_number_mode => 'round'),
    'x_Discounts', SAFE.PARSE_JSON(c.discount, wide_number_mode => 'round'), 'line_item_line_item_type', c.line_item_line_item_type,
    'identity_line_item_id', c.identity_line_item_id, 'bill_bill_type', c.bill_bill_type, 'bill_billing_entity', c.bill_billing_entity,
    'line_item_legal_entity', c.line_item_legal_entity, 'line_item_tax_type', c.line_item_tax_type,
    'line_item_unblended_cost', CAST(c.line_item_unblended_cost AS FLOAT64),
    'line_item_net_unblended_cost', CAST(c.line_item_net_unblended_cost AS FLOAT64),
    'line_item_normalized_usage_amount', c.line_item_normalized_usage_amount, 'pricing_term', c.pricing_term,
    'pricing_purchase_option', c.pricing_purchase_option, 'product_product_family', c.product_product_family,
    'product_instance_type', c.product_instance_type, 'product_operation', c.product_operation,
    'product_from_location', c.product_from_location, 'product_to_location', c.product_to_location,
    'savings_plan_offering_type', c.savings_plan_offering_type, 'savings_plan_payment_option', c.savings_plan_payment_option,
    'reservation_subscription_id', c.reservation_subscription_id,
    'capacity_reservation_capacity_reservation_status', c.capacity_reservation_capacity_reservation_status,
    'product', SAFE.PARSE_JSON(c.product, wide_number_mode => 'round'), 'tags', SAFE.PARSE_JSON(c.tags, wide_number_mode => 'round'),
    'other_columns', SAFE.PARSE_JSON(c.other_columns, wide_number_mode => 'round')
  ))),
  c.billing_period, c.manifest_id,
  NULLIF(ARRAY_TO_STRING([
    IF(c.issuer IS NULL, 'InvoiceIssuerName', NULL),
    IF(c.service IS NULL, 'ServiceName', NULL),
    IF(c.kind IN ('usage', 'reserved', 'planned') AND c.pricing_public_on_demand_cost IS NULL, 'ListCost', NULL)
  ], ','), '')
FROM (
  SELECT
    r.*,
    CASE
      WHEN r.is_savings_plan AND r.line_item_line_item_type = 'SavingsPlanRecurringFee' AND r.kind = 'commitment' THEN
        CAST(r.savings_plan_total_commitment_to_date AS FLOAT64)
      WHEN r.is_savings_plan AND r.kind = 'commitment' THEN CAST(r.paid AS FLOAT64)
      WHEN r.is_savings_plan THEN CAST(r.effective AS FLOAT64)
      WHEN r.kind = 'unused' THEN r.reservation_unused_quantity
      WHEN r.kind = 'reserved' THEN r.line_item_usage_amount
      WHEN r.line_item_line_item_type = 'RIFee' THEN r.reservation_total_reserved_units
    END AS committed,
    IF(r.is_savings_plan, r.currency, COALESCE(r.unit, 'Hrs')) AS committed_unit
  FROM priced AS r
) AS c
LEFT JOIN tagged AS t ON t.resource_tags = c.resource_tags
LEFT JOIN UNNEST(services) AS known ON known.code = c.line_item_product_code;
SET rows_staged = @@row_count;
COMMIT TRANSACTION;
SELECT rows_staged, CAST(NULL AS STRING) AS missing
