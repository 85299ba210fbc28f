# The control dataset, and the accounts' rights on its tables. The bootstrap creates the tables, so the bindings come after it:
# `has_tables`.

resource "google_bigquery_dataset" "control" {
  project                    = var.project
  dataset_id                 = var.control_dataset
  location                   = var.location
  description                = "Tenants, quotas, schedules, sealed credentials and the audit log of Convergence."
  delete_contents_on_destroy = false
  labels                     = { managed-by = "convergence" }

  lifecycle {
    prevent_destroy = true
  }

  depends_on = [google_project_service.api]
}

resource "google_bigquery_dataset_iam_member" "bootstrap" {
  project    = var.project
  dataset_id = google_bigquery_dataset.control.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = google_service_account.part["bootstrap"].member
}

locals {
  edits = {
    auth = [
      "tenant_profiles", "tenant_subscriptions", "tenant_api_keys", "tenant_usage_quotas", "audit_log", "audit_heads", "platform_events",
    ]
    credentials = ["tenant_cloud_credentials", "platform_events"]
    scheduler = [
      "tenant_pipeline_configs", "scheduled_pipeline_runs", "pipeline_execution_queue", "tenant_offboardings", "platform_events",
    ]
    executor    = ["tenant_runs", "platform_events"]
    reencrypt   = ["tenant_cloud_credentials"]
  }
  # Views, and the tables that they read. A bootstrap that changes a view replaces it, which may remove its bindings: then apply again.
  reads = {
    auth        = ["tenant_runs"]
    credentials = ["offboarded_tenants", "tenant_profiles"]
    scheduler   = ["runnable_tenants", "offboarded_tenants", "tenant_profiles", "tenant_subscriptions", "tenant_usage_quotas"]
  }
  bindings = merge(
    { for one in flatten([for part, tables in local.edits : [for table in tables : { part = part, table = table }]]) :
    "${one.part} edits ${one.table}" => merge(one, { role = "roles/bigquery.dataEditor" }) },
    { for one in flatten([for part, tables in local.reads : [for table in tables : { part = part, table = table }]]) :
    "${one.part} reads ${one.table}" => merge(one, { role = "roles/bigquery.dataViewer" }) },
  )
}

resource "google_bigquery_table_iam_member" "part" {
  for_each = var.has_tables ? local.bindings : {}

  project    = var.project
  dataset_id = google_bigquery_dataset.control.dataset_id
  table_id   = each.value.table
  role       = each.value.role
  member     = google_service_account.part[each.value.part].member
}
