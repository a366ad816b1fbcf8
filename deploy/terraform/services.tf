# The APIs of what is made here, and of what runs on it. Two have to be there before,
# since this itself needs them: serviceusage and cloudresourcemanager.
locals {
  services = concat(
    ["firestore.googleapis.com", "pubsub.googleapis.com", "iam.googleapis.com", "artifactregistry.googleapis.com"],
    length(var.notification_channels) > 0 ? ["monitoring.googleapis.com"] : [],
    var.kubernetes_namespace != "" ? ["iamcredentials.googleapis.com"] : [],
    var.cloud_run ? ["run.googleapis.com", "secretmanager.googleapis.com"] : [],
  )
}

resource "google_project_service" "used" {
  for_each           = toset(local.services)
  project            = var.project
  service            = each.value
  disable_on_destroy = false
}
