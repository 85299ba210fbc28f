-- The published version of each billing period of an exported cost report: one row for each source and period, changed in the transaction
-- that publishes its rows. It shows whether an export has changed, and prevents an older version from replacing a newer one.
-- source_id: provider and location, as in focus_cost_daily.x_SourceId. billing_period: its first day. manifest_key, manifest_etag: the
-- object that lists the files, and its version; manifest_id: identifies the version for people. exported_at: when the cloud wrote it (UTC).
-- version: grows with every publish of the period. days: the UTC days on which the period has published rows. sums: the costs as the export
-- has them, added up exactly and rounded once, to nine decimals. Published rows are rounded one by one, so their sum may differ in the ninth.
CREATE TABLE IF NOT EXISTS x_meta_exports (
  source_id STRING NOT NULL,
  billing_period DATE NOT NULL,
  provider STRING,
  dataset STRING,
  focus_version STRING,
  manifest_key STRING,
  manifest_etag STRING,
  manifest_id STRING,
  exported_at TIMESTAMP,
  version INT64,
  days ARRAY<DATE>,
  row_count INT64,
  sums ARRAY<STRUCT<currency STRING, billed_cost NUMERIC, effective_cost NUMERIC>>,
  file_count INT64,
  byte_count INT64,
  published_at TIMESTAMP,
  pipeline_logging_id STRING
)
