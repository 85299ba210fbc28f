-- The watermarks: every row of source_table with an export_time up to the watermark is published, if its day is kept up to date. The
-- publishing transaction moves the watermark. source_created_at: when the table was created. A table that was created later is another
-- table, even if it has the same name.
CREATE TABLE IF NOT EXISTS x_meta_cost_sources (
  source STRING NOT NULL,
  source_table STRING NOT NULL,
  source_created_at TIMESTAMP,
  watermark TIMESTAMP,
  updated_at TIMESTAMP,
  pipeline_logging_id STRING
)
