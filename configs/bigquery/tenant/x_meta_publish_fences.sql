-- The publish fences: which runs may still publish. A publishing transaction changes its run's row here last, and only while the row is
-- OPEN and has the claimed_by of the run's own row. A transaction that also ends its run changes the run's own row instead, and the row
-- `publish_lock`, so that any two publishes change this table (services/executor/steps/run_end_script.py). Before a run ends as FAILED or
-- CANCELLED, its row here is CLOSED (services/executor/queries.sql, end_run).
-- The fences are a table of their own because every run of the tenant changes x_meta_pipeline_runs. BigQuery lets no other statement change
-- a table that an open transaction has changed, and cancels a transaction if another statement changes its table meanwhile
-- ("Multi-statement transactions").
CREATE TABLE IF NOT EXISTS x_meta_publish_fences (
  pipeline_logging_id STRING NOT NULL,
  state STRING,
  updated_at TIMESTAMP,
  claimed_by STRING
)
CLUSTER BY pipeline_logging_id;
INSERT INTO x_meta_publish_fences (pipeline_logging_id, updated_at)
SELECT 'publish_lock', CURRENT_TIMESTAMP()
FROM (SELECT 1 AS one) AS o
WHERE NOT EXISTS (SELECT 1 FROM x_meta_publish_fences AS f WHERE f.pipeline_logging_id = 'publish_lock')
