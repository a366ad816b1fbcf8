# Where the API on Cloud Run finds its tokens. Their values are none of Terraform's,
# whose state would hold them: `gcloud secrets versions add`.
resource "google_secret_manager_secret" "tokens" {
  for_each   = toset(var.cloud_run ? ["registry-api-token", "registry-claim-token"] : [])
  project    = var.project
  secret_id  = each.value
  depends_on = [google_project_service.used]

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_iam_member" "tokens" {
  for_each  = google_secret_manager_secret.tokens
  project   = var.project
  secret_id = each.value.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.api.member
}
