-- The ledger of days: what is published of each source for each UTC day. The transactions that publish rows of the day write it; besides,
-- only `state` changes, with time. A day may be in the ledger without published rows: it was read, and the source has no rows for it.
-- source: the provider, e.g. gcp. row_count, sums: of the published rows; net_cost is what the changes of the day add up to. version: grows
-- with every publish of the day, of any table. source_version, focus_version: the version at which the source's own table, and
-- focus_cost_daily, was last written for the day; focus_version is less than source_version if billing_cost_daily is newer. changed_at:
-- when rows or sums last changed. state: OPEN, SETTLING or FINAL, by state_rule.
-- source_table, source_created_at, exported_to: the table that was read, when it was created, and the greatest export_time among the rows.
-- is_followed: runs that read changed rows keep the day up to date (x_meta_cost_sources); otherwise runs have loaded it only by its date.
-- sums.size: the sum of absolute costs before credits.
-- is_loaded: false if the day itself was not loaded and only has rows of another month's bill, e.g. a correction.
CREATE TABLE IF NOT EXISTS x_meta_cost_days (
  source STRING NOT NULL,
  usage_date DATE NOT NULL,
  row_count INT64,
  sums ARRAY<STRUCT<currency STRING, net_cost NUMERIC, size NUMERIC>>,
  first_loaded_at TIMESTAMP,
  last_loaded_at TIMESTAMP,
  changed_at TIMESTAMP,
  version INT64,
  focus_version INT64,
  state STRING,
  state_rule STRING,
  source_table STRING,
  source_created_at TIMESTAMP,
  exported_to TIMESTAMP,
  is_followed BOOL,
  source_version INT64,
  pipeline_logging_id STRING,
  is_loaded BOOL
)
CLUSTER BY source, usage_date
