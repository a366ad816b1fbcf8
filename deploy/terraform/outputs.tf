output "environment" {
  description = "What the processes are given, beside tokens."
  value = {
    GOOGLE_CLOUD_PROJECT       = var.project
    FIRESTORE_DATABASE         = var.database
    REGISTRY_COLLECTION_PREFIX = var.collection_prefix
    REGISTRY_SUBSCRIPTIONS     = join(",", var.subscriptions)
    REGISTRY_DEAD_LETTER_TOPIC = var.dead_letter_topic
    REGISTRY_LOG_TOPIC         = var.log_topic
  }
}

output "service_accounts" {
  description = "Whom the processes run as."
  value = {
    worker = google_service_account.worker.email
    api    = google_service_account.api.email
  }
}
