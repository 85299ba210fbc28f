variable "project" {
  type        = string
  description = "The platform's project: pays for the jobs, holds the control dataset, the keys and the accounts. It must exist, with billing."
}

variable "tenant_project" {
  type        = string
  default     = null
  description = "The project of the tenants' datasets; null: the platform's. One of its own keeps executors away from the control dataset."
}

variable "region" {
  type        = string
  description = "Region of the registry and of Cloud Scheduler, e.g. europe-west1."
}

variable "location" {
  type        = string
  default     = "US"
  description = "BigQuery's location of the control dataset, and of tenants' datasets, e.g. EU: CONVERGENCE_LOCATION."
}

variable "kms_location" {
  type        = string
  default     = "global"
  description = "Location of the key ring, e.g. europe."
}

variable "tenant_locations" {
  type        = map(string)
  default     = {}
  description = "Other BigQuery locations that tenants may have, each with the location of its key ring: { EU = \"europe\", europe-west1 = \"europe-west1\" }."
}

variable "control_dataset" {
  type        = string
  default     = "tenants"
  description = "CONVERGENCE_CONTROL_DATASET."
}

variable "namespace" {
  type        = string
  default     = "cost"
  description = "The Kubernetes namespace into which the chart is installed."
}

variable "release" {
  type        = string
  default     = "convergence"
  description = "The full name that the chart gives its parts: the release's name if that contains `convergence`."
}

variable "gateway_url" {
  type        = string
  description = "The gateway's public URL, https, without a slash at its end. Cloud Scheduler calls it, and jobs' tokens are for it."

  validation {
    condition     = can(regex("^https://[^/]+$", var.gateway_url))
    error_message = "gateway_url must be https://HOST, without a slash at its end."
  }
}

variable "federation" {
  type        = bool
  default     = false
  description = "Whether tenants may let this installation in without a key: makes the key that signs identity tokens."
}

variable "has_tables" {
  type        = bool
  default     = false
  description = "Set it after the first bootstrap, which makes the control tables: then each service gets the tables that it owns."
}

variable "image_readers" {
  type        = list(string)
  default     = []
  description = "Who may pull the images: the account of the cluster's nodes, e.g. serviceAccount:NUMBER-compute@developer.gserviceaccount.com."
}

variable "alert_emails" {
  type        = list(string)
  default     = []
  description = "Who is written to when the gateway is not ready or a job fails."
}
