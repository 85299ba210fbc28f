-- The SQL of waiting.yml.

-- name: wait
-- Reads nothing and stages nothing: the data is never there, so the step is tried again after ever longer waits.
SELECT 0 AS rows_staged, 'This run only waits.' AS missing, 0 AS waited
