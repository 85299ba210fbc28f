-- How publishes have changed the published cost of days: one row for each day, service and currency whose net cost a publish has changed,
-- written in the publishing transaction. Append-only. The deltas of a day, service and currency between two moments add up exactly to the
-- difference of what was published at these moments. The first load of a day is a change from 0. after_final: the day was FINAL before.
CREATE TABLE IF NOT EXISTS x_meta_cost_changes (
  source STRING NOT NULL,
  usage_date DATE NOT NULL,
  service STRING,
  currency STRING,
  cost_before NUMERIC,
  cost_after NUMERIC,
  delta NUMERIC,
  is_first_load BOOL,
  after_final BOOL,
  pipeline_logging_id STRING,
  changed_at TIMESTAMP
)
PARTITION BY DATE(changed_at)
CLUSTER BY source, usage_date
