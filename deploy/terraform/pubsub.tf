# The settings are those of `registry-worker provision`, which finds nothing to correct
# after this.
locals {
  topics = toset([for s in var.subscriptions : split(".", s)[0]])

  # Since when what is made here keeps messages, which Pub/Sub itself does not say, and
  # `replay --since` has to know. It is of the moment at which each is made, and stays:
  # hence ignore_changes.
  keeps_since = { "registry-keeps-since" = formatdate("YYYYMMDD't'hhmmss'z'", timestamp()) }
}

resource "google_pubsub_topic" "events" {
  for_each   = local.topics
  project    = var.project
  name       = each.value
  depends_on = [google_project_service.used]

  lifecycle {
    prevent_destroy = true                         # a new topic of that name does not reach the subscriptions
    ignore_changes  = [message_retention_duration] # it costs, so it is set by hand: docs/recovery.md
  }
}

resource "google_pubsub_subscription" "events" {
  for_each                   = toset(var.subscriptions)
  project                    = var.project
  name                       = each.value
  topic                      = google_pubsub_topic.events[split(".", each.value)[0]].id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"
  retain_acked_messages      = true
  labels                     = local.keeps_since

  expiration_policy {
    ttl = "" # never
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "60s"
  }

  # No dead_letter_policy: Pub/Sub would give up on good events in a long outage.

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [labels]
  }
}

resource "google_pubsub_topic" "dead_letters" {
  project                    = var.project
  name                       = var.dead_letter_topic
  message_retention_duration = "2678400s"
  depends_on                 = [google_project_service.used]

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_pubsub_subscription" "dead_letters" {
  project                    = var.project
  name                       = var.dead_letter_topic
  topic                      = google_pubsub_topic.dead_letters.id
  ack_deadline_seconds       = 10
  message_retention_duration = "2678400s"

  expiration_policy {
    ttl = "" # never
  }

  lifecycle {
    prevent_destroy = true
  }
}

# Claims, retractions and operators' moves, which only `replay --since` takes from the subscription.
# `registry-worker provision` says in the registry that it is there.
resource "google_pubsub_topic" "log" {
  project                    = var.project
  name                       = var.log_topic
  message_retention_duration = "2678400s"
  labels                     = local.keeps_since
  depends_on                 = [google_project_service.used]

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [labels]
  }
}

resource "google_pubsub_subscription" "log" {
  project                    = var.project
  name                       = var.log_topic
  topic                      = google_pubsub_topic.log.id
  ack_deadline_seconds       = 10
  message_retention_duration = "2678400s"
  retain_acked_messages      = true
  labels                     = local.keeps_since

  expiration_policy {
    ttl = "" # never
  }

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [labels]
  }
}
