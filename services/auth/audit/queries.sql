-- The audit log's GoogleSQL. Rows of audit_log are never changed; audit_heads has the last entry of each chain.

-- name: read_heads
-- Reads only: where the chains end, and which of @ids they already have. It is one statement, so both are of the same moment. Chains
-- without an entry are missing. An entry is recorded before it is appended, so @since bounds the partitions that are read.
-- param: chains ARRAY<STRING>
-- param: ids ARRAY<STRING>
-- param: since TIMESTAMP
SELECT h.chain, h.seq, h.entry_hash, h.appended_at, k.known
FROM audit_heads AS h
LEFT JOIN (
  SELECT l.chain, ARRAY_AGG(l.entry_id) AS known
  FROM audit_log AS l
  WHERE l.appended_at >= @since AND l.chain IN UNNEST(@chains) AND l.entry_id IN UNNEST(@ids)
  GROUP BY l.chain
) AS k ON k.chain = h.chain
WHERE h.chain IN UNNEST(@chains)

-- name: known_entries
-- Reads only: which of @ids the chains have already, where audit_heads was listed before. @since as in read_heads.
-- param: chains ARRAY<STRING>
-- param: ids ARRAY<STRING>
-- param: since TIMESTAMP
SELECT l.entry_id
FROM audit_log AS l
WHERE l.appended_at >= @since AND l.chain IN UNNEST(@chains) AND l.entry_id IN UNNEST(@ids)

-- name: append_entries
-- The UPDATE is the compare-and-set. It changes the heads that the entries were chained to, and always the platform's row, which all
-- writers share. So BigQuery cancels one of two concurrent writers, and its retry finds a changed head and appends nothing. INSERTs alone
-- would not conflict. So the heads of new chains and the entries are inserted after the UPDATE, in its transaction. All or nothing: if one
-- head has changed, no entry is appended. A replay finds its own heads, not those that its entries were chained to, and appends nothing.
-- param: heads ARRAY<STRUCT<chain STRING, seen_seq INT64, seen_hash STRING, seq INT64, entry_hash STRING, appended_at TIMESTAMP>>
-- param: entries ARRAY<STRUCT<chain STRING, seq INT64, entry_id STRING, time TIMESTAMP, action STRING, resource STRING, outcome STRING, count INT64, actor_kind STRING, actor_id STRING, actor_role STRING, user_id STRING, request_id STRING, client_address STRING, prev_hash STRING, entry_hash STRING, appended_at TIMESTAMP>>
DECLARE moved INT64 DEFAULT 0;
DECLARE is_appended BOOL DEFAULT FALSE;
BEGIN TRANSACTION;
UPDATE audit_heads AS h SET seq = n.seq, entry_hash = n.entry_hash, appended_at = n.appended_at
FROM UNNEST(@heads) AS n
WHERE h.chain = n.chain AND h.seq = n.seen_seq AND h.entry_hash = n.seen_hash;
SET moved = @@row_count;
-- seldom: once a chain
IF EXISTS (SELECT 1 FROM UNNEST(@heads) AS n WHERE n.seen_seq = 0) THEN
  INSERT INTO audit_heads (chain, seq, entry_hash, appended_at)
  SELECT n.chain, n.seq, n.entry_hash, n.appended_at
  FROM UNNEST(@heads) AS n
  WHERE n.seen_seq = 0 AND n.chain NOT IN (SELECT o.chain FROM audit_heads AS o);
  SET moved = moved + @@row_count;
END IF;
IF moved < ARRAY_LENGTH(@heads) THEN
  ROLLBACK TRANSACTION;
ELSE
  INSERT INTO audit_log (
    chain, seq, entry_id, time, appended_at, action, resource, outcome, count, actor_kind, actor_id, actor_role, user_id, request_id,
    client_address, prev_hash, entry_hash
  )
  SELECT
    e.chain, e.seq, e.entry_id, e.time, e.appended_at, e.action, e.resource, e.outcome, e.count, e.actor_kind, e.actor_id, e.actor_role,
    e.user_id, e.request_id, e.client_address, e.prev_hash, e.entry_hash
  FROM UNNEST(@entries) AS e;
  COMMIT TRANSACTION;
  SET is_appended = TRUE;
END IF;
SELECT is_appended

-- name: list_entries
-- Reads only: the page after the entry (@after_at, @after_chain, @after_seq), newest first. An empty @chain means all chains. New entries
-- come at the front, so pages do not shift. An entry is recorded before it is appended, so @since bounds the partitions that are read.
-- param: chain STRING
-- param: action STRING
-- param: start_time TIMESTAMP
-- param: end_time TIMESTAMP
-- param: since TIMESTAMP
-- param: after_at TIMESTAMP
-- param: after_chain STRING
-- param: after_seq INT64
-- param: row_limit INT64
SELECT
  l.chain, l.seq, l.entry_id, l.time, l.appended_at, l.action, l.resource, l.outcome, l.count, l.actor_kind, l.actor_id, l.actor_role,
  l.user_id, l.request_id, l.client_address, l.prev_hash, l.entry_hash
FROM audit_log AS l
WHERE l.appended_at >= @since AND l.time >= @start_time AND l.time < @end_time
  AND (@chain = '' OR l.chain = @chain)
  AND (@action = '' OR l.action = @action)
  AND l.appended_at <= @after_at
  AND (l.appended_at < @after_at OR l.chain > @after_chain OR (l.chain = @after_chain AND l.seq < @after_seq))
ORDER BY l.appended_at DESC, l.chain, l.seq DESC
LIMIT @row_limit

-- name: delete_old_entries
-- Deletes whole partitions, which costs nothing. `appended_at` never decreases along a chain, so what is deleted is the beginning of each. A
-- replay finds nothing.
-- param: first_day DATE
DELETE FROM audit_log WHERE DATE(appended_at) < @first_day
