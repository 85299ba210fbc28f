-- The checks of focus.yml before it publishes. The run's own staging table replaces x_staging_focus_cost_daily.

-- name: focus_conformance
-- One pass over the staging table measures all checks: one row a check, failing_rows 0 if it passes. Reads only.
-- Sums are compared for each day, currency and invoice month; a sum that is missing on one side counts as 0. The tolerance is half a cent:
-- far more than rounding to NUMERIC and FLOAT64's order of adding can cause, and too little for a reader to see.
-- param: run_days ARRAY<DATE>
-- param: billing_rows INT64
-- param: billing_sums ARRAY<STRUCT<day DATE, currency STRING, invoice_month STRING, row_count INT64, net_cost FLOAT64, contracted_cost FLOAT64, list_cost FLOAT64>>
SELECT c.check_name, c.failing_rows, c.observed_value
FROM (
  SELECT [
    STRUCT(
      'rows_agree_with_source' AS check_name, ABS(r.source_rows - @billing_rows) AS failing_rows,
      CAST(r.source_rows AS STRING) AS observed_value),
    STRUCT('billed_cost_agrees' AS check_name, t.billed_off AS failing_rows, t.billed AS observed_value),
    STRUCT('effective_cost_agrees' AS check_name, t.effective_off AS failing_rows, t.effective AS observed_value),
    STRUCT('contracted_cost_agrees' AS check_name, t.contracted_off AS failing_rows, t.contracted AS observed_value),
    STRUCT('list_cost_agrees' AS check_name, t.listed_off AS failing_rows, t.listed AS observed_value),
    STRUCT(
      'commitments_paid_once' AS check_name, r.paid_twice AS failing_rows, CAST(r.paid_twice AS STRING) AS observed_value),
    STRUCT('commitments_add_up' AS check_name, p.rows_off AS failing_rows, p.off AS observed_value),
    STRUCT('commitments_matched' AS check_name, r.unmatched AS failing_rows, p.unmatched AS observed_value),
    STRUCT('commitments_used' AS check_name, p.rows_idle AS failing_rows, p.idle AS observed_value),
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
      COUNTIF(f.is_first) AS source_rows, COUNTIF(f.paid_twice) AS paid_twice, COUNTIF(f.is_unmatched) AS unmatched,
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
        f.x_UsageDate NOT IN UNNEST(@run_days) OR DATE(f.ChargePeriodStart) != f.x_UsageDate AS another_date,
        f.ListUnitPrice < 0 OR f.ContractedUnitPrice < 0 AS negative_price,
        IFNULL(NOT REGEXP_CONTAINS(f.x_Derivation, r'^promotion$|:(used_second|rest|unused)$'), TRUE) AS is_first,
        IFNULL(ENDS_WITH(f.x_Derivation, ':unmatched'), FALSE) AS is_unmatched,
        CASE REGEXP_EXTRACT(f.x_Derivation, r':(fee|used|unused)')
          WHEN 'fee' THEN f.EffectiveCost != 0 OR f.ChargeCategory != 'Purchase'
          WHEN 'used' THEN f.BilledCost != 0 OR f.PricingCategory != 'Committed' OR f.CommitmentDiscountStatus != 'Used'
          WHEN 'unused' THEN
            f.BilledCost != 0 OR f.PricingCategory != 'Committed' OR f.CommitmentDiscountStatus != 'Unused'
            OR f.ContractedCost != f.EffectiveCost OR f.ListCost != f.EffectiveCost
          ELSE FALSE
        END AS paid_twice,
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
        FROM UNNEST(@billing_sums) AS source
        FULL OUTER JOIN (
          SELECT
            f.x_UsageDate AS day, f.BillingCurrency AS currency, f.x_InvoiceMonth AS invoice_month, COUNT(*) AS staged,
            SUM(f.BilledCost) AS billed, SUM(f.EffectiveCost) AS effective,
            -- In the source, promotions and unused parts of fees have no price.
            SUM(IF(IFNULL(REGEXP_CONTAINS(f.x_Derivation, r'^promotion$|:unused$'), FALSE), 0, f.ContractedCost)) AS contracted,
            SUM(IF(IFNULL(REGEXP_CONTAINS(f.x_Derivation, r'^promotion$|:unused$'), FALSE), 0, f.ListCost)) AS listed
          FROM x_staging_focus_cost_daily AS f
          GROUP BY f.x_UsageDate, f.BillingCurrency, f.x_InvoiceMonth
        ) AS f
        ON f.day = source.day AND IFNULL(f.currency, '') = IFNULL(source.currency, '') AND IFNULL(f.invoice_month, '') = IFNULL(source.invoice_month, '')
      ) AS p
      GROUP BY p.currency
    ) AS d
  ) AS t
  CROSS JOIN (
    SELECT
      IFNULL(SUM(IF(q.is_off, q.staged, 0)), 0) AS rows_off, LEFT(STRING_AGG(IF(q.is_off, q.name, NULL), ', ' ORDER BY q.name), 500) AS off,
      IFNULL(SUM(IF(q.is_idle, q.staged, 0)), 0) AS rows_idle, LEFT(STRING_AGG(IF(q.is_idle, q.name, NULL), ', ' ORDER BY q.name), 500) AS idle,
      LEFT(STRING_AGG(IF(q.unmatched > 0, q.name, NULL), ', ' ORDER BY q.name), 500) AS unmatched
    FROM (
      SELECT
        CONCAT(o.rule, ' ', o.pool, ' on ', CAST(o.day AS STRING)) AS name, SUM(o.staged) AS staged, SUM(o.unmatched) AS unmatched,
        LOGICAL_OR(ABS(o.effective - o.billed) > GREATEST(NUMERIC '0.005', ABS(o.billed) / 1000000000)) AS is_off,
        LOGICAL_OR(o.fees > 0 AND o.used = 0) AS is_idle
      FROM (
        SELECT
          f.x_UsageDate AS day, REGEXP_EXTRACT(f.x_Derivation, r'^(.*):') AS rule,
          IFNULL(NULLIF(f.x_CommitmentPool, ''), 'without an id') AS pool, f.BillingCurrency AS currency, f.BillingAccountId AS account,
          f.x_InvoiceMonth AS invoice_month, COUNT(*) AS staged, COUNTIF(ENDS_WITH(f.x_Derivation, ':unmatched')) AS unmatched,
          COUNTIF(ENDS_WITH(f.x_Derivation, ':fee')) AS fees, COUNTIF(REGEXP_CONTAINS(f.x_Derivation, r':used(_second)?$')) AS used,
          SUM(IF(ENDS_WITH(f.x_Derivation, ':fee'), f.BilledCost, 0)) AS billed,
          SUM(IF(REGEXP_CONTAINS(f.x_Derivation, r':(used|used_second|unused)$'), f.EffectiveCost, 0)) AS effective
        FROM x_staging_focus_cost_daily AS f
        WHERE f.x_CommitmentPool IS NOT NULL
        GROUP BY day, rule, pool, currency, account, invoice_month
      ) AS o
      GROUP BY name
    ) AS q
  ) AS p
) AS m
CROSS JOIN UNNEST(m.checks) AS c
