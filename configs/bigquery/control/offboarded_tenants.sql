-- The tenants that were offboarded, which is final. Owned by auth. Credentials and the scheduler read it after they have written something of
-- a tenant: a call that began before the tenant was closed must not leave anything behind (docs/tenants.md).
-- column: tenant_id STRING
CREATE OR REPLACE VIEW offboarded_tenants AS
SELECT DISTINCT p.tenant_id FROM `${control}.tenant_profiles` AS p WHERE p.status = 'OFFBOARDED'
