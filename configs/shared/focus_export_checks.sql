-- The checks of the AWS and Azure templates before they publish. The run's own staging table replaces x_staging_focus_export. A template
-- gives each check its severity. Defects of our table or of our mapping are errors. Where a cloud's own export falls short of the
-- specification, that is a warning: it cannot be corrected here, and stopping would leave the tenant without its costs.

-- name: focus_export_agrees
-- Compares the staged rows with the rows that were read: their number and their sums for each billing period and currency, counted while
-- the files were read. One row a check, failing_rows 0 if it passes. Reads the staging table only. Half a cent is more than rounding can
-- cause.
-- param: source_rows INT64
-- param: source_sums ARRAY<STRUCT<billing_period DATE, currency STRING, row_count INT64, billed_cost NUMERIC, effective_cost NUMERIC>>
SELECT c.check_name, c.failing_rows, c.observed_value
FROM (
  SELECT [
    STRUCT(
      'rows_agree_with_source' AS check_name,
      ABS(IFNULL(SUM(p.staged), 0) - @source_rows) + IFNULL(SUM(p.rows_off), 0) AS failing_rows,
      CAST(IFNULL(SUM(p.staged), 0) AS STRING) AS observed_value),
    STRUCT(
      'billed_cost_agrees' AS check_name, COUNTIF(ABS(p.billed - p.source_billed) > 0.005) AS failing_rows,
      LEFT(STRING_AGG(CONCAT(p.name, ' ', FORMAT('%.2f', p.billed)), ', ' ORDER BY p.name), 500) AS observed_value),
    STRUCT(
      'effective_cost_agrees' AS check_name, COUNTIF(ABS(p.effective - p.source_effective) > 0.005) AS failing_rows,
      LEFT(STRING_AGG(CONCAT(p.name, ' ', FORMAT('%.2f', p.effective)), ', ' ORDER BY p.name), 500) AS observed_value)
  ] AS checks
  FROM (
    SELECT
      CONCAT(
        IFNULL(FORMAT_DATE('%Y-%m', COALESCE(f.period, s.billing_period)), 'no period'), ' ',
        COALESCE(f.currency, s.currency, 'no currency')
      ) AS name,
      IFNULL(f.staged, 0) AS staged, ABS(IFNULL(f.staged, 0) - IFNULL(s.row_count, 0)) AS rows_off,
      IFNULL(f.billed, 0) AS billed, IFNULL(f.effective, 0) AS effective,
      IFNULL(s.billed_cost, 0) AS source_billed, IFNULL(s.effective_cost, 0) AS source_effective
    FROM UNNEST(@source_sums) AS s
    FULL OUTER JOIN (
      SELECT
        f.x_BillingPeriod AS period, f.BillingCurrency AS currency, COUNT(*) AS staged,
        SUM(f.BilledCost) AS billed, SUM(f.EffectiveCost) AS effective
      FROM x_staging_focus_export AS f
      GROUP BY f.x_BillingPeriod, f.BillingCurrency
    ) AS f ON f.period = s.billing_period AND IFNULL(f.currency, '') = IFNULL(s.currency, '')
  ) AS p
) AS q
CROSS JOIN UNNEST(q.checks) AS c

-- name: focus_export_conformance
-- One pass over the staging table, and one over the published rows of the run's days: one row a check, failing_rows 0 if it passes. Reads
-- only. The same account in another export is found by BillingAccountId and SubAccountId. So exports of several subscriptions of one
-- billing account do not count as duplicates of each other.
-- param: replaced_sources ARRAY<STRING>
-- param: first_day DATE
-- param: last_day DATE
SELECT c.check_name, c.failing_rows, c.observed_value
FROM (
  SELECT [
    STRUCT('mandatory_not_null' AS check_name, r.lacking AS failing_rows, r.lacks AS observed_value),
    STRUCT('values_allowed' AS check_name, r.not_allowed AS failing_rows, r.not_allowed_in AS observed_value),
    STRUCT('categories_allowed' AS check_name, r.odd_category AS failing_rows, r.odd_categories AS observed_value),
    STRUCT('currency_is_iso_4217' AS check_name, r.odd_currency AS failing_rows, r.odd_currencies AS observed_value),
    STRUCT('periods_in_order' AS check_name, r.periods_reversed AS failing_rows, CAST(r.periods_reversed AS STRING) AS observed_value),
    STRUCT('charges_on_the_date' AS check_name, r.other_dates AS failing_rows, CAST(r.other_dates AS STRING) AS observed_value),
    STRUCT(
      'billing_period_of_the_export' AS check_name, r.other_periods AS failing_rows, CAST(r.other_periods AS STRING) AS observed_value),
    STRUCT('one_source' AS check_name, IF(r.sources = 1, 0, r.staged) AS failing_rows, CAST(r.sources AS STRING) AS observed_value),
    STRUCT('json_readable' AS check_name, r.no_json AS failing_rows, r.no_json_in AS observed_value),
    STRUCT('account_exported_once' AS check_name, d.accounts AS failing_rows, d.names AS observed_value),
    STRUCT('prices_not_negative' AS check_name, r.negative_prices AS failing_rows, CAST(r.negative_prices AS STRING) AS observed_value),
    STRUCT('nulls_as_specified' AS check_name, r.nulls_broken AS failing_rows, r.nulls_broken_in AS observed_value),
    STRUCT('usage_is_priced' AS check_name, r.unpriced AS failing_rows, r.unpriced_in AS observed_value),
    STRUCT('costs_known' AS check_name, r.cost_unknown AS failing_rows, r.cost_unknown_in AS observed_value),
    STRUCT('columns_filled' AS check_name, r.filled AS failing_rows, r.filled_in AS observed_value),
    STRUCT('cost_as_before' AS check_name, b.too_little AS failing_rows, b.figures AS observed_value)
  ] AS checks
  FROM (
    SELECT
      COUNT(*) AS staged, COUNT(DISTINCT f.source) AS sources,
      COUNTIF(f.lacks IS NOT NULL) AS lacking,
      LEFT(STRING_AGG(DISTINCT f.lacks, '; ' ORDER BY f.lacks), 500) AS lacks,
      COUNTIF(f.not_allowed IS NOT NULL) AS not_allowed,
      LEFT(STRING_AGG(DISTINCT f.not_allowed, '; ' ORDER BY f.not_allowed), 500) AS not_allowed_in,
      COUNTIF(f.odd_category IS NOT NULL) AS odd_category,
      LEFT(STRING_AGG(DISTINCT f.odd_category, '; ' ORDER BY f.odd_category), 500) AS odd_categories,
      COUNTIF(f.odd_currency IS NOT NULL) AS odd_currency,
      LEFT(STRING_AGG(DISTINCT f.odd_currency, ', ' ORDER BY f.odd_currency), 500) AS odd_currencies,
      COUNTIF(f.no_json IS NOT NULL) AS no_json,
      LEFT(STRING_AGG(DISTINCT f.no_json, '; ' ORDER BY f.no_json), 500) AS no_json_in,
      COUNTIF(f.nulls_broken IS NOT NULL) AS nulls_broken,
      LEFT(STRING_AGG(DISTINCT f.nulls_broken, '; ' ORDER BY f.nulls_broken), 500) AS nulls_broken_in,
      COUNTIF(f.unpriced IS NOT NULL) AS unpriced,
      LEFT(STRING_AGG(DISTINCT f.unpriced, '; ' ORDER BY f.unpriced), 500) AS unpriced_in,
      COUNTIF(f.cost_unknown IS NOT NULL) AS cost_unknown,
      LEFT(STRING_AGG(DISTINCT f.cost_unknown, '; ' ORDER BY f.cost_unknown), 500) AS cost_unknown_in,
      COUNTIF(f.filled IS NOT NULL) AS filled,
      LEFT(STRING_AGG(DISTINCT f.filled, '; ' ORDER BY f.filled), 500) AS filled_in,
      COUNTIF(f.periods_reversed) AS periods_reversed, COUNTIF(f.another_date) AS other_dates, COUNTIF(f.another_period) AS other_periods,
      COUNTIF(f.negative_price) AS negative_prices
    FROM (
      SELECT
        CONCAT(IFNULL(f.x_Provider, 'no provider'), ' ', IFNULL(f.x_SourceId, 'no source')) AS source,
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
          IF(f.CapacityReservationStatus NOT IN ('Used', 'Unused'), 'CapacityReservationStatus', NULL)
        ], ', '), '') AS not_allowed,
        IF(allowed.category IS NULL, CONCAT(f.ServiceCategory, ' with ', f.ServiceSubcategory), NULL) AS odd_category,
        IF(REGEXP_CONTAINS(f.BillingCurrency, r'^[A-Z][A-Z][A-Z]$'), NULL, f.BillingCurrency) AS odd_currency,
        f.ChargePeriodEnd < f.ChargePeriodStart OR f.BillingPeriodEnd <= f.BillingPeriodStart AS periods_reversed,
        IFNULL(DATE(f.ChargePeriodStart) != f.x_UsageDate, TRUE) AS another_date,
        IFNULL(DATE_TRUNC(DATE(f.BillingPeriodStart), MONTH) != f.x_BillingPeriod, TRUE) AS another_period,
        f.ListUnitPrice < 0 OR f.ContractedUnitPrice < 0 AS negative_price,
        NULLIF(ARRAY_TO_STRING([
          IF(f.Tags IS NOT NULL AND SAFE.PARSE_JSON(f.Tags, wide_number_mode => 'round') IS NULL, 'Tags', NULL),
          IF(
            f.SkuPriceDetails IS NOT NULL AND SAFE.PARSE_JSON(f.SkuPriceDetails, wide_number_mode => 'round') IS NULL,
            'SkuPriceDetails', NULL),
          IF(
            f.x_ProviderColumns IS NOT NULL AND SAFE.PARSE_JSON(f.x_ProviderColumns, wide_number_mode => 'round') IS NULL,
            'x_ProviderColumns', NULL)
        ], ', '), '') AS no_json,
        NULLIF(ARRAY_TO_STRING([
          IF(f.ChargeCategory = 'Tax' AND COALESCE(f.SkuId, f.SkuMeter, f.SkuPriceId, f.PricingCategory, f.PricingUnit) IS NOT NULL
            OR f.ChargeCategory = 'Tax' AND COALESCE(f.PricingQuantity, f.ListUnitPrice, f.ContractedUnitPrice) IS NOT NULL,
            'a price of a tax', NULL),
          IF(f.ChargeCategory = 'Purchase' AND f.ChargeFrequency = 'Usage-Based', 'ChargeFrequency of a purchase', NULL),
          IF(f.ChargeCategory != 'Usage' AND f.ConsumedQuantity IS NOT NULL, 'ConsumedQuantity without usage', NULL),
          IF(f.ChargeCategory = 'Usage' AND (f.CommitmentDiscountId IS NULL) != (f.CommitmentDiscountStatus IS NULL)
            OR (f.CommitmentDiscountId IS NULL) != (f.CommitmentDiscountCategory IS NULL)
            OR (f.CommitmentDiscountId IS NULL) != (f.CommitmentDiscountType IS NULL)
            OR (f.CommitmentDiscountQuantity IS NULL) != (f.CommitmentDiscountUnit IS NULL), 'CommitmentDiscount columns', NULL),
          IF(f.ChargeCategory = 'Usage' AND (f.CapacityReservationId IS NULL) != (f.CapacityReservationStatus IS NULL),
            'CapacityReservation columns', NULL),
          IF(f.SkuPriceId IS NULL AND f.SkuPriceDetails IS NOT NULL, 'SkuPriceDetails without SkuPriceId', NULL),
          IF((f.ConsumedQuantity IS NULL) != (f.ConsumedUnit IS NULL), 'ConsumedQuantity and ConsumedUnit', NULL),
          IF((f.PricingQuantity IS NULL) != (f.PricingUnit IS NULL), 'PricingQuantity and PricingUnit', NULL),
          IF((f.RegionId IS NULL) != (f.RegionName IS NULL), 'RegionId and RegionName', NULL),
          IF((f.ResourceId IS NULL) != (f.ResourceType IS NULL), 'ResourceId and ResourceType', NULL),
          IF((f.SubAccountId IS NULL) != (f.SubAccountName IS NULL) OR (f.SubAccountId IS NULL) != (f.SubAccountType IS NULL),
            'SubAccount columns', NULL)
        ], ', '), '') AS nulls_broken,
        IF(f.ChargeCategory IN ('Usage', 'Purchase') AND f.ChargeClass IS NULL, NULLIF(ARRAY_TO_STRING([
          IF(f.SkuId IS NULL, 'SkuId', NULL), IF(f.SkuPriceId IS NULL, 'SkuPriceId', NULL),
          IF(f.PricingQuantity IS NULL, 'PricingQuantity', NULL), IF(f.PricingUnit IS NULL, 'PricingUnit', NULL),
          IF(f.ListUnitPrice IS NULL, 'ListUnitPrice', NULL), IF(f.ContractedUnitPrice IS NULL, 'ContractedUnitPrice', NULL)
        ], ', '), ''), NULL) AS unpriced,
        -- Azure writes 0 if it does not know the price: for a reservation's usage, and for the Marketplace.
        IF(f.ChargeCategory IN ('Usage', 'Purchase') AND f.EffectiveCost > 0, NULLIF(ARRAY_TO_STRING([
          IF(f.ListCost = 0, 'ListCost', NULL), IF(f.ContractedCost = 0, 'ContractedCost', NULL)
        ], ', '), ''), NULL) AS cost_unknown,
        NULLIF(f.x_SourceChanges, '') AS filled
      FROM x_staging_focus_export AS f
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
    SELECT COUNT(*) AS accounts, LEFT(STRING_AGG(a.name, '; ' ORDER BY a.name), 500) AS names
    FROM (
      SELECT DISTINCT CONCAT(
        f.BillingAccountId, IFNULL(CONCAT(' ', f.SubAccountId), ''), ' in ', FORMAT_DATE('%Y-%m', f.x_BillingPeriod), ' by ', f.x_SourceId
      ) AS name
      FROM focus_cost_daily AS f
      INNER JOIN (
        SELECT DISTINCT e.x_Provider, e.x_SourceId, e.x_BillingPeriod, e.BillingAccountId, e.SubAccountId FROM x_staging_focus_export AS e
      ) AS e
        ON e.x_Provider = f.x_Provider AND e.x_BillingPeriod = f.x_BillingPeriod AND e.x_SourceId != f.x_SourceId
        AND e.BillingAccountId = f.BillingAccountId AND IFNULL(e.SubAccountId, '') = IFNULL(f.SubAccountId, '')
      WHERE f.x_UsageDate BETWEEN @first_day AND @last_day AND f.x_SourceId NOT IN UNNEST(@replaced_sources)
    ) AS a
  ) AS d
  CROSS JOIN (
    SELECT
      COUNTIF(p.before > 0 AND p.now < p.before / 2) AS too_little,
      LEFT(STRING_AGG(CONCAT(p.name, ' ', FORMAT('%.2f', p.now), ' of ', FORMAT('%.2f', p.before)), ', ' ORDER BY p.name), 500) AS figures
    FROM (
      SELECT
        CONCAT(IFNULL(FORMAT_DATE('%Y-%m', s.period), 'no period'), ' ', IFNULL(s.currency, 'no currency')) AS name,
        SUM(IF(s.is_new, s.billed, 0)) AS now, SUM(IF(s.is_new, 0, s.billed)) AS before
      FROM (
        SELECT TRUE AS is_new, e.x_BillingPeriod AS period, e.BillingCurrency AS currency, e.BilledCost AS billed
        FROM x_staging_focus_export AS e
        UNION ALL
        SELECT FALSE AS is_new, f.x_BillingPeriod AS period, f.BillingCurrency AS currency, f.BilledCost AS billed
        FROM focus_cost_daily AS f
        INNER JOIN (SELECT DISTINCT e.x_SourceId, e.x_BillingPeriod FROM x_staging_focus_export AS e) AS e
          ON e.x_SourceId = f.x_SourceId AND e.x_BillingPeriod = f.x_BillingPeriod
        WHERE f.x_UsageDate BETWEEN @first_day AND @last_day
      ) AS s
      GROUP BY s.period, s.currency
    ) AS p
  ) AS b
) AS q
CROSS JOIN UNNEST(q.checks) AS c
