# What the processes' own metrics cannot say: that events wait in Pub/Sub while no
# worker takes them, and that dead letters lie there. All else is in deploy/monitoring.
# By https://cloud.google.com/monitoring/alerts/terraform, and of filters by
# https://cloud.google.com/monitoring/api/v3/filters.
resource "google_monitoring_alert_policy" "backlog" {
  count                 = length(var.notification_channels) > 0 ? 1 : 0
  project               = var.project
  display_name          = "Realtime registry: events wait"
  combiner              = "OR"
  notification_channels = var.notification_channels
  depends_on            = [google_project_service.used]

  conditions {
    display_name = "The oldest event has waited for 10 minutes"
    condition_threshold {
      filter          = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = one_of(\"${join("\",\"", var.subscriptions)}\") AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      comparison      = "COMPARISON_GT"
      threshold_value = 600
      duration        = "300s"
      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content   = "No worker takes the events of this subscription, or the store refuses them: docs/operations.md, RegistryConsumerDown and RegistryEventsStuck."
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_alert_policy" "dead_letters" {
  count                 = length(var.notification_channels) > 0 ? 1 : 0
  project               = var.project
  display_name          = "Realtime registry: dead letters"
  combiner              = "OR"
  notification_channels = var.notification_channels
  depends_on            = [google_project_service.used]

  conditions {
    display_name = "There are dead letters"
    condition_threshold {
      filter          = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.dead_letters.name}\" AND metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content   = "They are kept for 31 days: docs/operations.md, RegistryDeadLetters."
    mime_type = "text/markdown"
  }
}
