output "registry" {
  description = "Where the images are pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "helm_values" {
  description = "Values for the chart, besides image tags: terraform output -raw helm_values >values.yaml"
  value = yamlencode({
    image           = { repository = "${var.region}-docker.pkg.dev/${var.project}/convergence/production" }
    gateway         = { image = { repository = "${var.region}-docker.pkg.dev/${var.project}/convergence/gateway" } }
    project         = var.project
    tenantProject   = var.tenant_project == null ? "" : var.tenant_project
    location        = var.location
    tenantLocations = { for name, key in google_kms_crypto_key.elsewhere : name => key.id }
    controlDataset  = var.control_dataset
    kms             = { key = google_kms_crypto_key.credentials.id, signingKey = var.federation ? google_kms_crypto_key.identity_tokens[0].id : "" }
    issuerUrl       = var.federation ? var.gateway_url : ""
    datasetWriters  = [google_service_account.part["executor"].email]
    datasetOwners   = [google_service_account.part["credentials"].email]
    secret          = "convergence"
    settings = {
      CONVERGENCE_OIDC = jsonencode([{
        issuer   = "https://accounts.google.com"
        audience = var.gateway_url
        rules    = [{ role = "scheduler", email = google_service_account.jobs.email }]
      }])
    }
    services = { for part in ["auth", "credentials", "scheduler", "executor"] :
      part => { serviceAccount = { annotations = { "iam.gke.io/gcp-service-account" = google_service_account.part[part].email } } }
    }
    bootstrap = { serviceAccount = { annotations = { "iam.gke.io/gcp-service-account" = google_service_account.part["bootstrap"].email } } }
    reencrypt = { enabled = true, serviceAccount = { annotations = { "iam.gke.io/gcp-service-account" = google_service_account.part["reencrypt"].email } } }
  })
}
