-- What creating tables, columns and views cannot do, in order: `v1_...`, `v2_...`. New ones are added at the end; one that was released is never
-- changed. Each says why it may be run twice, also at the same time, and why processes of the release before can go on meanwhile.

-- name: v1_proofs_of_earlier_offboardings
-- Tenants that were offboarded before `tenant_offboardings` get a row without counts, which are in the audit log. The row's id is the
-- tenant's, so a replay finds it; two at the same moment may both insert it, which says the same twice. Older releases do not know the table.
INSERT INTO tenant_offboardings (offboarding_id, tenant_id, offboarded_at, completed_at)
SELECT CONCAT('before-', p.tenant_id), p.tenant_id, MIN(p.updated_at), MIN(p.updated_at)
FROM tenant_profiles AS p
WHERE p.status = 'OFFBOARDED' AND NOT EXISTS (SELECT 1 FROM tenant_offboardings AS o WHERE o.tenant_id = p.tenant_id)
GROUP BY p.tenant_id
