-- Statements by which the doctor asks BigQuery about its rights. They are dry runs only, which are free and change nothing: BigQuery checks
-- the same rights for a dry run as for a run. `use_TABLE` needs the rights of roles/bigquery.dataEditor on the table, `read_TABLE` those of
-- dataViewer.

-- name: run_a_job
-- Reads nothing; needs the right to create jobs.
SELECT TRUE AS done

-- name: use_tenant_profiles
-- Changes no row.
UPDATE tenant_profiles SET tenant_id = tenant_id WHERE FALSE

-- name: use_tenant_subscriptions
-- Changes no row.
UPDATE tenant_subscriptions SET tenant_id = tenant_id WHERE FALSE

-- name: use_tenant_api_keys
-- Changes no row.
UPDATE tenant_api_keys SET tenant_id = tenant_id WHERE FALSE

-- name: use_tenant_usage_quotas
-- Changes no row.
UPDATE tenant_usage_quotas SET tenant_id = tenant_id WHERE FALSE

-- name: use_audit_log
-- Changes no row.
UPDATE audit_log SET entry_id = entry_id WHERE FALSE

-- name: use_audit_heads
-- Changes no row.
UPDATE audit_heads SET chain = chain WHERE FALSE

-- name: use_tenant_cloud_credentials
-- Changes no row.
UPDATE tenant_cloud_credentials SET tenant_id = tenant_id WHERE FALSE

-- name: use_tenant_pipeline_configs
-- Changes no row.
UPDATE tenant_pipeline_configs SET tenant_id = tenant_id WHERE FALSE

-- name: use_scheduled_pipeline_runs
-- Changes no row.
UPDATE scheduled_pipeline_runs SET tenant_id = tenant_id WHERE FALSE

-- name: use_pipeline_execution_queue
-- Changes no row.
UPDATE pipeline_execution_queue SET tenant_id = tenant_id WHERE FALSE

-- name: use_tenant_offboardings
-- Changes no row.
UPDATE tenant_offboardings SET tenant_id = tenant_id WHERE FALSE

-- name: use_tenant_runs
-- Changes no row.
UPDATE tenant_runs SET entry_id = entry_id WHERE FALSE

-- name: use_platform_events
-- Changes no row.
UPDATE platform_events SET event_id = event_id WHERE FALSE

-- name: read_runnable_tenants
-- Reads only.
SELECT COUNT(*) AS tenants FROM runnable_tenants
