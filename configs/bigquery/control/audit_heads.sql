-- The last entry of each chain of audit_log. The table is created with the platform's row. Every append updates this row, so two appends
-- conflict even if both begin new chains.
CREATE TABLE IF NOT EXISTS audit_heads (
  chain STRING NOT NULL,
  seq INT64,
  entry_hash STRING,
  appended_at TIMESTAMP
)
CLUSTER BY chain
AS SELECT '-' AS chain, 0 AS seq, '' AS entry_hash, CAST(NULL AS TIMESTAMP) AS appended_at
