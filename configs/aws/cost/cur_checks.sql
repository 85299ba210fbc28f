-- The checks of cur.yml beyond those of all AWS and Azure templates. The run's own staging tables replace x_staging_aws_cur and
-- x_staging_focus_export.

-- name: cur_agrees
-- Compares the mapped rows with the line items, counted and summed again: one row a check, failing_rows 0 if it passes. Reads the staging
-- tables only. Costs are compared for each period, product, account and currency; half a cent is more than rounding can cause.
-- param: source_rows INT64
SELECT c.check_name, c.failing_rows, c.observed_value
FROM (
  SELECT [
    STRUCT(
      'rows_agree_with_source' AS check_name,
      ABS(IFNULL(SUM(g.line_items), 0) - @source_rows) + IFNULL(SUM(ABS(g.lines_to_map - g.lines_mapped)), 0) AS failing_rows,
      CAST(IFNULL(SUM(g.line_items), 0) AS STRING) AS observed_value),
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
        ', ' ORDER BY g.name), FORMAT('%.2f', SUM(g.effective))), 500) AS observed_value)
  ] AS checks
  FROM (
    SELECT
      CONCAT(
        IFNULL(FORMAT_DATE('%Y-%m', u.period), 'no period'), ' ', IFNULL(u.product, 'no product'), ' ', IFNULL(u.account, 'no account'),
        ' ', IFNULL(u.currency, 'no currency')) AS name,
      SUM(u.line_items) AS line_items, SUM(u.lines_to_map) AS lines_to_map, SUM(u.lines_mapped) AS lines_mapped,
      SUM(u.paid) AS paid, SUM(u.amortized) AS amortized, SUM(u.billed) AS billed, SUM(u.effective) AS effective
    FROM (
      SELECT
        c.billing_period AS period, c.line_item_product_code AS product, c.line_item_usage_account_id AS account,
        COALESCE(c.line_item_currency_code, c.pricing_currency) AS currency,
        1 AS line_items, IF(IFNULL(c.line_item_line_item_type, '') = 'SavingsPlanNegation', 0, 1) AS lines_to_map, 0 AS lines_mapped,
        IF(c.is_net, c.line_item_net_unblended_cost, IFNULL(c.line_item_unblended_cost, 0)) AS paid,
        IFNULL(CASE c.line_item_line_item_type
          WHEN 'SavingsPlanCoveredUsage' THEN COALESCE(
            IF(c.is_net, c.savings_plan_net_savings_plan_effective_cost, NULL), c.savings_plan_savings_plan_effective_cost,
            IF(c.is_net, c.line_item_net_unblended_cost, c.line_item_unblended_cost))
          WHEN 'SavingsPlanNegation' THEN 0
          WHEN 'SavingsPlanUpfrontFee' THEN 0
          WHEN 'SavingsPlanRecurringFee' THEN CAST(
            (c.savings_plan_total_commitment_to_date - c.savings_plan_used_commitment) * IF(
              c.is_net,
              IFNULL(SAFE_DIVIDE(
                c.savings_plan_net_recurring_commitment_for_billing_period
                + IFNULL(c.savings_plan_net_amortized_upfront_commitment_for_billing_period, 0),
                c.savings_plan_recurring_commitment_for_billing_period
                + IFNULL(c.savings_plan_amortized_upfront_commitment_for_billing_period, 0)), 1),
              1) AS NUMERIC)
          WHEN 'DiscountedUsage' THEN COALESCE(
            IF(c.is_net, c.reservation_net_effective_cost, NULL), c.reservation_effective_cost,
            IF(c.is_net, c.line_item_net_unblended_cost, c.line_item_unblended_cost))
          WHEN 'RIFee' THEN IF(
            c.is_net AND c.reservation_net_unused_recurring_fee IS NOT NULL,
            c.reservation_net_unused_recurring_fee + IFNULL(c.reservation_net_unused_amortized_upfront_fee_for_billing_period, 0),
            c.reservation_unused_recurring_fee + IFNULL(c.reservation_unused_amortized_upfront_fee_for_billing_period, 0))
          WHEN 'Fee' THEN IF(
            c.reservation_reservation_arn IS NOT NULL, 0, IF(c.is_net, c.line_item_net_unblended_cost, c.line_item_unblended_cost))
          ELSE IF(c.is_net, c.line_item_net_unblended_cost, c.line_item_unblended_cost)
        END, 0) AS amortized,
        0 AS billed, 0 AS effective
      FROM (
        SELECT
          c.source_id, c.billing_period, c.discount_total_discount, c.line_item_currency_code, c.line_item_line_item_type,
          c.line_item_net_unblended_cost, c.line_item_product_code, c.line_item_unblended_cost, c.line_item_usage_account_id,
          c.pricing_currency, c.reservation_effective_cost, c.reservation_net_effective_cost,
          c.reservation_net_unused_amortized_upfront_fee_for_billing_period, c.reservation_net_unused_recurring_fee,
          c.reservation_reservation_arn, c.reservation_unused_amortized_upfront_fee_for_billing_period, c.reservation_unused_recurring_fee,
          c.savings_plan_amortized_upfront_commitment_for_billing_period,
          c.savings_plan_net_amortized_upfront_commitment_for_billing_period, c.savings_plan_net_recurring_commitment_for_billing_period,
          c.savings_plan_net_savings_plan_effective_cost, c.savings_plan_recurring_commitment_for_billing_period,
          c.savings_plan_savings_plan_effective_cost, c.savings_plan_total_commitment_to_date, c.savings_plan_used_commitment,
          COUNTIF(ENDS_WITH(c.line_item_line_item_type, 'Discount')) OVER (PARTITION BY c.source_id, c.billing_period) = 0
            AND IFNULL(c.discount_total_discount, 0) != 0 AND c.line_item_net_unblended_cost IS NOT NULL AS is_net
        FROM x_staging_aws_cur AS c
      ) AS c
      UNION ALL
      SELECT
        f.x_BillingPeriod AS period, JSON_VALUE(f.x_ProviderColumns, '$.x_ServiceCode') AS product, f.SubAccountId AS account,
        f.BillingCurrency AS currency, 0 AS line_items, 0 AS lines_to_map,
        IF(JSON_VALUE(f.x_ProviderColumns, '$.x_RowPart') IS NULL, 1, 0) AS lines_mapped, 0 AS paid, 0 AS amortized,
        f.BilledCost AS billed, f.EffectiveCost AS effective
      FROM x_staging_focus_export AS f
    ) AS u
    GROUP BY u.period, u.product, u.account, u.currency
  ) AS g
) AS q
CROSS JOIN UNNEST(q.checks) AS c
