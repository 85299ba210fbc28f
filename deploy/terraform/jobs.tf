# The jobs of configs/cloud_scheduler/jobs.yaml. Google signs each call as the account convergence-jobs, so no key is stored.
# CONVERGENCE_OIDC admits that account, see the outputs.

locals {
  jobs = {
    for job in yamldecode(file("${path.module}/../../configs/cloud_scheduler/jobs.yaml")).jobs : reverse(split("/", job.name))[0] => job
  }
}

resource "google_cloud_scheduler_job" "job" {
  for_each = local.jobs

  project          = var.project
  region           = var.region
  name             = each.key
  description      = each.value.description
  schedule         = each.value.schedule
  time_zone        = each.value.timeZone
  attempt_deadline = each.value.attemptDeadline

  http_target {
    uri         = replace(each.value.httpTarget.uri, "$${GATEWAY_URL}", var.gateway_url)
    http_method = each.value.httpTarget.httpMethod
    headers     = { Content-Type = "application/json" }
    body        = each.value.httpTarget.body

    oidc_token {
      service_account_email = google_service_account.jobs.email
      audience              = var.gateway_url
    }
  }

  retry_config {
    retry_count          = each.value.retryConfig.retryCount
    max_retry_duration   = each.value.retryConfig.maxRetryDuration
    min_backoff_duration = each.value.retryConfig.minBackoffDuration
    max_backoff_duration = each.value.retryConfig.maxBackoffDuration
    max_doublings        = each.value.retryConfig.maxDoublings
  }

  depends_on = [google_project_service.api]
}
