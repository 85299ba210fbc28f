-- The lock and the version of the control dataset. All times are BigQuery's own, because bootstraps run on several machines. `schema_state`
-- has one row, or several equal rows, if two bootstraps created the table at the same moment. Every UPDATE changes all rows alike.

-- name: read_state
-- Reads only.
SELECT s.version, s.locked_by, s.lease_expires_at FROM schema_state AS s LIMIT 1

-- name: take_lock
-- Two UPDATEs of the row run one after the other, and the second finds the lock taken. A replay, or the same holder again, renews the lease.
-- param: holder STRING
-- param: lease_seconds INT64
UPDATE schema_state
SET locked_by = @holder, lease_expires_at = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL @lease_seconds SECOND)
WHERE locked_by IS NULL OR locked_by = @holder OR lease_expires_at <= CURRENT_TIMESTAMP();
SELECT s.version, s.locked_by, s.lease_expires_at FROM schema_state AS s LIMIT 1

-- name: record_migration
-- Compare-and-set: only the lock's holder may write, and the version rises by one at a time. A replay finds that the version is reached,
-- and changes nothing.
-- param: holder STRING
-- param: version INT64
-- param: migration STRING
UPDATE schema_state
SET
  version = @version,
  applied = ARRAY_CONCAT(
    IFNULL(applied, []), [STRUCT(@version AS version, @migration AS name, CURRENT_TIMESTAMP() AS applied_at)]
  )
WHERE locked_by = @holder AND version = @version - 1;
SELECT s.version, s.locked_by, s.lease_expires_at FROM schema_state AS s LIMIT 1

-- name: release_lock
-- A replay changes nothing: the lock is free, or has another holder.
-- param: holder STRING
UPDATE schema_state SET locked_by = NULL, lease_expires_at = NULL WHERE locked_by = @holder
