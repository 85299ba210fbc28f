# The APIs, the registry and the secrets.

resource "google_project_service" "api" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "bigquerystorage.googleapis.com",
    "cloudkms.googleapis.com",
    "cloudscheduler.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "monitoring.googleapis.com",
    "secretmanager.googleapis.com",
  ])

  project            = var.project
  service            = each.value
  disable_on_destroy = false
}

resource "google_artifact_registry_repository" "images" {
  project       = var.project
  location      = var.region
  repository_id = "convergence"
  format        = "DOCKER"
  description   = "The images production and gateway."

  docker_config {
    # A tag of a release does not move.
    immutable_tags = true
  }

  depends_on = [google_project_service.api]
}

resource "google_artifact_registry_repository_iam_member" "readers" {
  for_each = toset(var.image_readers)

  project    = var.project
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = each.value
}

# Their values are set by hand or by your pipeline, so that none is in Terraform's state:
#   printf '["%s"]' "$(openssl rand -hex 32)" | gcloud secrets versions add convergence-token-secrets --data-file=-
resource "google_secret_manager_secret" "settings" {
  for_each = toset(["convergence-token-secrets", "convergence-admin-keys"])

  project   = var.project
  secret_id = each.value

  replication {
    auto {}
  }

  depends_on = [google_project_service.api]
}
