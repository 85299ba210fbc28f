-- How far a source has been read: every row of source_table with an export_time up to the watermark is published, as far as its day is
-- one that is kept. Moved in the publishing transaction. source_created_at: when the table was created; a table that was created later is
-- another one, whatever its name.
CREATE TABLE IF NOT EXISTS x_meta_cost_sources (
  source STRING NOT NULL,
  source_table STRING NOT NULL,
  source_created_at TIMESTAMP,
  watermark TIMESTAMP,
  updated_at TIMESTAMP,
  pipeline_logging_id STRING
)
