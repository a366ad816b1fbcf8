# Roles are granted on single topics and subscriptions, and on the one database:
# docs/security.md says what each identity needs, and what it could do.
resource "google_service_account" "worker" {
  project      = var.project
  account_id   = "registry-worker"
  display_name = "Realtime registry: registry-worker run"
  depends_on   = [google_project_service.used]
}

resource "google_service_account" "api" {
  project      = var.project
  account_id   = "registry-api"
  display_name = "Realtime registry: registry-worker serve"
  depends_on   = [google_project_service.used]
}

locals {
  firestore = {
    worker = { member = google_service_account.worker.member, role = "roles/datastore.user" }
    api    = { member = google_service_account.api.member, role = "roles/datastore.user" } # claims and windows are writes
  }
  viewers = { for o in var.operators : o => { member = o, role = "roles/datastore.viewer" } }
}

resource "google_project_iam_member" "firestore" {
  for_each = merge(local.firestore, local.viewers)
  project  = var.project
  role     = each.value.role
  member   = each.value.member

  condition {
    title      = "registry's database"
    expression = "resource.name == \"projects/${var.project}/databases/${var.database}\""
  }
}

resource "google_pubsub_subscription_iam_member" "worker" {
  for_each = {
    for pair in setproduct(var.subscriptions, ["roles/pubsub.subscriber", "roles/pubsub.viewer"]) :
    "${pair[0]} ${pair[1]}" => { subscription = pair[0], role = pair[1] }
  }
  project      = var.project
  subscription = google_pubsub_subscription.events[each.value.subscription].name
  role         = each.value.role
  member       = google_service_account.worker.member
}

resource "google_pubsub_topic_iam_member" "worker" {
  for_each = toset(["roles/pubsub.publisher", "roles/pubsub.viewer"])
  project  = var.project
  topic    = google_pubsub_topic.dead_letters.name
  role     = each.value
  member   = google_service_account.worker.member
}

# Both store claims, and publish what was stored. Nobody else may: who publishes
# there can claim, move and retract, once the log is replayed.
resource "google_pubsub_topic_iam_member" "log" {
  for_each = {
    worker = google_service_account.worker.member
    api    = google_service_account.api.member
  }
  project = var.project
  topic   = google_pubsub_topic.log.name
  role    = "roles/pubsub.publisher"
  member  = each.value
}

# It checks that a subscription keeps what it refuses.
resource "google_pubsub_subscription_iam_member" "worker_dead_letters" {
  project      = var.project
  subscription = google_pubsub_subscription.dead_letters.name
  role         = "roles/pubsub.viewer"
  member       = google_service_account.worker.member
}

resource "google_pubsub_topic_iam_member" "publishers" {
  for_each = merge([
    for topic, members in var.publishers : { for m in members : "${topic} ${m}" => { topic = topic, member = m } }
  ]...)
  project = var.project
  topic   = google_pubsub_topic.events[each.value.topic].name
  role    = "roles/pubsub.publisher"
  member  = each.value.member
}

resource "google_pubsub_subscription_iam_member" "operators" {
  for_each = {
    for pair in setproduct(var.operators, ["roles/pubsub.subscriber", "roles/pubsub.viewer"]) :
    "${pair[0]} ${pair[1]}" => { member = pair[0], role = pair[1] }
  }
  project      = var.project
  subscription = google_pubsub_subscription.dead_letters.name
  role         = each.value.role
  member       = each.value.member
}

resource "google_service_account_iam_member" "kubernetes" {
  for_each = var.kubernetes_namespace == "" ? {} : {
    registry-worker = google_service_account.worker.name
    registry-api    = google_service_account.api.name
  }
  service_account_id = each.value
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${var.kubernetes_namespace}/${each.key}]"
}
