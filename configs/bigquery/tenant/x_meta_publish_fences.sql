-- Who may still publish. A publishing transaction changes the row of its run last, and only while it is OPEN and claimed_by the publisher, as
-- the run's row is; a run that ends in any other way
-- than by completing closes its row first (services/executor/queries.sql, end_run). A table of its own: BigQuery lets no other statement change a
-- table that an open transaction has changed, and cancels a transaction whose table somebody else changes meanwhile ("Multi-statement
-- transactions"), and x_meta_pipeline_runs is changed by every run of the tenant.
CREATE TABLE IF NOT EXISTS x_meta_publish_fences (
  pipeline_logging_id STRING NOT NULL,
  state STRING,
  updated_at TIMESTAMP,
  claimed_by STRING
)
CLUSTER BY pipeline_logging_id
