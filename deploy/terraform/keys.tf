# The key that encrypts tenants' credentials, and the one that signs identity tokens.

resource "google_kms_key_ring" "convergence" {
  project  = var.project
  name     = "convergence"
  location = var.kms_location

  depends_on = [google_project_service.api]
}

resource "google_kms_crypto_key" "credentials" {
  name     = "tenant-credentials-key"
  key_ring = google_kms_key_ring.convergence.id
  purpose  = "ENCRYPT_DECRYPT"
  # Data encrypted by older versions stays readable. docs/google-cloud.md says how to retire a version.
  rotation_period = "7776000s"

  version_template {
    algorithm = "GOOGLE_SYMMETRIC_ENCRYPTION"
    # An HSM key encrypts 8 KiB at most.
    protection_level = "SOFTWARE"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key" "identity_tokens" {
  count = var.federation ? 1 : 0

  name     = "identity-tokens-key"
  key_ring = google_kms_key_ring.convergence.id
  purpose  = "ASYMMETRIC_SIGN"

  version_template {
    algorithm        = "RSA_SIGN_PKCS1_2048_SHA256"
    protection_level = "SOFTWARE"
  }

  lifecycle {
    prevent_destroy = true
  }
}

locals {
  # A service either encrypts or decrypts; only the re-encrypt job does both.
  uses_of_the_key = {
    credentials = "roles/cloudkms.cryptoKeyEncrypter"
    executor    = "roles/cloudkms.cryptoKeyDecrypter"
    reencrypt   = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  }
  uses_of_the_signing_key = var.federation ? toset(["roles/cloudkms.signer", "roles/cloudkms.publicKeyViewer", "roles/cloudkms.viewer"]) : toset([])
}

resource "google_kms_crypto_key_iam_member" "credentials" {
  for_each = local.uses_of_the_key

  crypto_key_id = google_kms_crypto_key.credentials.id
  role          = each.value
  member        = google_service_account.part[each.key].member
}

# The keys of tenants elsewhere: CONVERGENCE_TENANT_LOCATIONS.
resource "google_kms_key_ring" "elsewhere" {
  for_each = var.tenant_locations

  project  = var.project
  name     = "convergence-tenants"
  location = each.value

  depends_on = [google_project_service.api]
}

resource "google_kms_crypto_key" "elsewhere" {
  for_each = var.tenant_locations

  name            = "tenant-credentials-key"
  key_ring        = google_kms_key_ring.elsewhere[each.key].id
  purpose         = "ENCRYPT_DECRYPT"
  rotation_period = "7776000s"

  version_template {
    algorithm        = "GOOGLE_SYMMETRIC_ENCRYPTION"
    protection_level = "SOFTWARE"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "elsewhere" {
  for_each = { for pair in setproduct(keys(var.tenant_locations), keys(local.uses_of_the_key)) : join("/", pair) => pair }

  crypto_key_id = google_kms_crypto_key.elsewhere[each.value[0]].id
  role          = local.uses_of_the_key[each.value[1]]
  member        = google_service_account.part[each.value[1]].member
}

resource "google_kms_crypto_key_iam_member" "identity_tokens" {
  for_each = local.uses_of_the_signing_key

  crypto_key_id = google_kms_crypto_key.identity_tokens[0].id
  role          = each.value
  member        = google_service_account.part["credentials"].member
}
