# A service account for each part, which its pods use by Workload Identity, and one whose tokens Cloud Scheduler sends with its calls.

locals {
  tenant_project = coalesce(var.tenant_project, var.project)
  parts          = toset(["auth", "credentials", "scheduler", "executor", "bootstrap", "reencrypt"])
}

resource "google_service_account" "part" {
  for_each = local.parts

  project      = var.project
  account_id   = "convergence-${each.value}"
  display_name = "Convergence: ${each.value}"

  depends_on = [google_project_service.api]
}

resource "google_service_account_iam_member" "workload_identity" {
  for_each = local.parts

  service_account_id = google_service_account.part[each.value].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${var.namespace}/${var.release}-${each.value}]"
}

resource "google_service_account" "jobs" {
  project      = var.project
  account_id   = "convergence-jobs"
  display_name = "Convergence: signs the calls of Cloud Scheduler; it has no role"

  depends_on = [google_project_service.api]
}

# All six accounts run query jobs, which the platform's project pays for.
resource "google_project_iam_member" "job_user" {
  for_each = local.parts

  project = var.project
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.part[each.value].member
}

# Lets the service see whether a tenant has a dataset before its location changes: names and columns, no rows.
resource "google_project_iam_member" "sees_datasets" {
  project = local.tenant_project
  role    = "roles/bigquery.metadataViewer"
  member  = google_service_account.part["auth"].member
}

# Lets the service create tenants' datasets, which it then owns.
resource "google_project_iam_member" "makes_datasets" {
  project = local.tenant_project
  role    = "roles/bigquery.user"
  member  = google_service_account.part["credentials"].member
}
