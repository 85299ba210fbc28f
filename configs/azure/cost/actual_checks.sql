-- The checks of actual.yml beyond those of all AWS and Azure templates. The run's own staging tables replace x_staging_azure_cost and
-- x_staging_focus_export.

-- name: actual_agrees
-- Compares the mapped rows with the exports' rows, counted and summed again: one row a check, failing_rows 0 if it passes. Reads the
-- staging tables only. Costs are compared for each period, meter category, subscription and currency; half a cent is more than rounding can
-- cause. both_costs_agree: usage that no commitment covers costs the same in both exports, unless one of them is older.
-- param: source_rows INT64
SELECT c.check_name, c.failing_rows, c.observed_value
FROM (
  SELECT [
    STRUCT(
      'rows_agree_with_source' AS check_name,
      ABS(IFNULL(SUM(g.source_rows), 0) - @source_rows) + IFNULL(SUM(ABS(g.rows_to_map - g.rows_mapped)), 0) AS failing_rows,
      CAST(IFNULL(SUM(g.source_rows), 0) AS STRING) AS observed_value),
    STRUCT(
      'billed_cost_agrees' AS check_name, COUNTIF(ABS(g.billed - g.paid) > 0.005) AS failing_rows,
      LEFT(IFNULL(STRING_AGG(
        IF(ABS(g.billed - g.paid) > 0.005, CONCAT(g.name, ' ', FORMAT('%.2f', g.billed), ' of ', FORMAT('%.2f', g.paid)), NULL),
        ', ' ORDER BY g.name), FORMAT('%.2f', SUM(g.billed))), 500) AS observed_value),
    STRUCT(
      'effective_cost_agrees' AS check_name, COUNTIF(ABS(g.effective - g.amortized) > 0.005) AS failing_rows,
      LEFT(IFNULL(STRING_AGG(
        IF(
          ABS(g.effective - g.amortized) > 0.005, CONCAT(g.name, ' ', FORMAT('%.2f', g.effective), ' of ', FORMAT('%.2f', g.amortized)),
          NULL),
        ', ' ORDER BY g.name), FORMAT('%.2f', SUM(g.effective))), 500) AS observed_value),
    STRUCT(
      'both_costs_agree' AS check_name, COUNTIF(ABS(g.one_cost - g.other_cost) > 0.005) AS failing_rows,
      LEFT(STRING_AGG(
        IF(
          ABS(g.one_cost - g.other_cost) > 0.005, CONCAT(g.name, ' ', FORMAT('%.2f', g.one_cost), ' and ', FORMAT('%.2f', g.other_cost)),
          NULL),
        ', ' ORDER BY g.name), 500) AS observed_value)
  ] AS checks
  FROM (
    SELECT
      CONCAT(
        IFNULL(FORMAT_DATE('%Y-%m', u.period), 'no period'), ' ', IFNULL(u.service, 'no meter category'), ' ',
        IFNULL(u.account, 'no subscription'), ' ', IFNULL(u.currency, 'no currency')) AS name,
      SUM(u.source_rows) AS source_rows, SUM(u.rows_to_map) AS rows_to_map, SUM(u.rows_mapped) AS rows_mapped,
      SUM(u.paid) AS paid, SUM(u.amortized) AS amortized, SUM(u.billed) AS billed, SUM(u.effective) AS effective,
      SUM(u.one_cost) AS one_cost, SUM(u.other_cost) AS other_cost
    FROM (
      SELECT
        a.period, a.service, a.account, a.currency, 1 AS source_rows,
        IF(
          a.dataset = 'AMORTIZED', IF(a.is_covered, 1, 0), IF(a.is_amortized AND a.is_covered AND a.cost = 0, 0, 1)) AS rows_to_map,
        0 AS rows_mapped,
        IF(a.dataset = 'AMORTIZED', 0, a.cost) AS paid,
        CASE
          WHEN a.dataset = 'AMORTIZED' THEN IF(a.is_covered, a.cost, 0)
          WHEN a.is_amortized AND (a.is_covered OR a.is_purchased) THEN 0
          ELSE a.cost
        END AS amortized,
        0 AS billed, 0 AS effective,
        IF(a.is_amortized AND a.dataset = 'ACTUAL' AND NOT a.is_covered AND NOT a.is_purchased, a.cost, 0) AS one_cost,
        IF(a.dataset = 'AMORTIZED' AND NOT a.is_covered AND NOT a.is_purchased, a.cost, 0) AS other_cost
      FROM (
        SELECT
          s.billing_period AS period, s.meter_category AS service, LOWER(COALESCE(s.subscription_id, s.subscription_guid)) AS account,
          COALESCE(s.billing_currency, s.billing_currency_code, s.currency, s.currency_code) AS currency, s.dataset,
          COALESCE(s.cost_in_billing_currency, s.cost, s.pre_tax_cost, 0) AS cost,
          COUNTIF(s.dataset = 'AMORTIZED') OVER (PARTITION BY s.source_id, s.billing_period) > 0 AS is_amortized,
          IFNULL(s.charge_type, 'Usage') IN ('UnusedReservation', 'UnusedSavingsPlan') OR (
            IFNULL(s.charge_type, 'Usage') = 'Usage' AND COALESCE(s.benefit_id, s.reservation_id) IS NOT NULL
            AND IFNULL(s.pricing_model, '') NOT IN ('OnDemand', 'Spot')) AS is_covered,
          IFNULL(s.charge_type, 'Usage') IN ('Purchase', 'Refund') AND COALESCE(s.benefit_id, s.reservation_id) IS NOT NULL AS is_purchased
        FROM x_staging_azure_cost AS s
      ) AS a
      UNION ALL
      SELECT
        f.x_BillingPeriod AS period, JSON_VALUE(f.x_ProviderColumns, '$.x_SkuMeterCategory') AS service,
        REGEXP_REPLACE(f.SubAccountId, r'^/subscriptions/', '') AS account, f.BillingCurrency AS currency, 0 AS source_rows,
        0 AS rows_to_map, 1 AS rows_mapped, 0 AS paid, 0 AS amortized, f.BilledCost AS billed, f.EffectiveCost AS effective,
        0 AS one_cost, 0 AS other_cost
      FROM x_staging_focus_export AS f
    ) AS u
    GROUP BY u.period, u.service, u.account, u.currency
  ) AS g
) AS q
CROSS JOIN UNNEST(q.checks) AS c
