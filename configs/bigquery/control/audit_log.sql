-- Who did what: append-only, with one hash chain for each tenant and one, `-`, for the platform. docs/audit.md says how `entry_hash` is
-- computed. `appended_at` never decreases along a chain. So dropping the oldest partitions removes only the beginnings of chains. A text
-- that is unknown or does not apply is empty.
CREATE TABLE IF NOT EXISTS audit_log (
  chain STRING NOT NULL,
  seq INT64 NOT NULL,
  entry_id STRING NOT NULL,
  time TIMESTAMP NOT NULL,
  appended_at TIMESTAMP NOT NULL,
  action STRING,
  resource STRING,
  outcome STRING,
  count INT64,
  actor_kind STRING,
  actor_id STRING,
  actor_role STRING,
  user_id STRING,
  request_id STRING,
  client_address STRING,
  prev_hash STRING,
  entry_hash STRING
)
PARTITION BY DATE(appended_at)
CLUSTER BY chain, seq
