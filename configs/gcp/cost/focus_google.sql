-- name: focus_agrees_with_google
-- Compares the staged BilledCost of each UTC day and currency with Google's own FOCUS export. The tolerance is half a cent or a
-- ten-thousandth of Google's sum, for the rounding of Google's rows. A day or currency that only one side has fails; the other side is
-- shown as none. Without a table to compare with the check passes and shows why. Reads only.
-- param: reported_totals ARRAY<STRUCT<day DATE, currency STRING, billed_cost NUMERIC>>
-- param: reported_from STRING
-- param: reported_note STRING
SELECT
  'focus_agrees_with_google' AS check_name, COUNTIF(d.is_off) AS failing_rows,
  IFNULL(LEFT(STRING_AGG(IF(d.is_off, d.text, NULL), '; ' ORDER BY d.text), 500), @reported_note) AS observed_value
FROM (
  SELECT
    CONCAT(
      CAST(p.day AS STRING), ' ', p.currency, ': ', IFNULL(FORMAT('%.2f', p.ours), 'none'), ' here, ',
      IFNULL(FORMAT('%.2f', p.theirs), 'none'), ' at Google') AS text,
    ABS(IFNULL(p.ours, 0) - IFNULL(p.theirs, 0)) > GREATEST(NUMERIC '0.005', ABS(IFNULL(p.theirs, 0)) / 10000) AS is_off
  FROM (
    SELECT
      COALESCE(f.day, google.day) AS day, COALESCE(f.currency, google.currency, 'no currency') AS currency,
      f.billed AS ours, google.billed_cost AS theirs
    FROM UNNEST(@reported_totals) AS google
    FULL OUTER JOIN (
      SELECT f.x_UsageDate AS day, f.BillingCurrency AS currency, SUM(f.BilledCost) AS billed
      FROM x_staging_focus_cost_daily AS f
      GROUP BY f.x_UsageDate, f.BillingCurrency
    ) AS f
    ON f.day = google.day AND IFNULL(f.currency, '') = IFNULL(google.currency, '')
  ) AS p
  WHERE @reported_from IS NOT NULL
) AS d
