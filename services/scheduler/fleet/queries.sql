-- What processes report about themselves. The default dataset is the control dataset.

-- name: fleet_events
-- Reads only. One row for each job, each busy table and each kind of loss. A row may be written twice, and several processes may record the
-- same loss: rows of one kind and name are one event.
-- param: jobs_since TIMESTAMP
-- param: losses_since TIMESTAMP
-- param: budgets_since TIMESTAMP
SELECT e.kind, IF(e.kind IN ('JOB_SUCCEEDED', 'DML_BUDGET'), e.name, '') AS name, MIN(e.first_time) AS first_time,
  MAX(e.last_time) AS last_time, MAX(e.value) AS most, SUM(e.value) AS total
FROM (
  SELECT v.kind, v.name, MIN(v.time) AS first_time, MAX(v.time) AS last_time, MAX(v.value) AS value
  FROM platform_events AS v
  WHERE v.time >= @jobs_since
    AND (
      v.kind = 'JOB_SUCCEEDED'
      OR (v.kind IN ('SLOT_LOST', 'RUN_OVERDUE', 'CLAIMS_LOST') AND v.time >= @losses_since)
      OR (v.kind = 'DML_BUDGET' AND v.time >= @budgets_since)
    )
  GROUP BY v.kind, v.name
) AS e
GROUP BY e.kind, name
ORDER BY e.kind, name
