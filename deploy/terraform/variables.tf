variable "project" {
  description = "Google Cloud project."
  type        = string
}

variable "location" {
  description = "Location of the Firestore database, such as eur3 or europe-west1. It cannot be changed later."
  type        = string
}

variable "database" {
  description = "Firestore database, the registry's own: who may write one document of a database may write all of it."
  type        = string
  default     = "realtime-registry"
}

variable "collection_prefix" {
  description = "What stands before the names of all collections: REGISTRY_COLLECTION_PREFIX."
  type        = string
  default     = ""
}

variable "subscriptions" {
  description = "Subscriptions that the worker consumes, each TOPIC.CONSUMER: REGISTRY_SUBSCRIPTIONS."
  type        = list(string)
  default = [
    "nexus-thread-created.realtime-registry",
    "nexus-canvas-created.realtime-registry",
    "nexus-tenant-moved.realtime-registry",
    "nexus-thread-deleted.realtime-registry",
    "nexus-canvas-deleted.realtime-registry",
  ]
}

variable "dead_letter_topic" {
  description = "Topic of refused messages, and its subscription: REGISTRY_DEAD_LETTER_TOPIC."
  type        = string
  default     = "realtime-registry-dead-letters"
}

variable "log_topic" {
  description = "Topic of the registry's log, and its subscription: REGISTRY_LOG_TOPIC."
  type        = string
  default     = "realtime-registry-log"
}

variable "publishers" {
  description = "Who publishes to a topic, by its name: members such as serviceAccount:threads@my-project.iam.gserviceaccount.com."
  type        = map(list(string))
  default     = {}
}

variable "operators" {
  description = "Who looks at the registry and at dead letters: members such as group:oncall@example.com. What changes ownership is granted by hand, for as long as it takes."
  type        = list(string)
  default     = []
}

variable "kubernetes_namespace" {
  description = "Namespace of deploy/kubernetes whose service accounts act as these, by Workload Identity. Empty: none does."
  type        = string
  default     = ""
}

variable "cloud_run" {
  description = "Whether the API runs on Cloud Run (deploy/cloudrun): makes the secrets that its tokens are in."
  type        = bool
  default     = false
}

variable "notification_channels" {
  description = "Who is told of events and dead letters that wait: names of channels of Cloud Monitoring. Empty: no alert is made."
  type        = list(string)
  default     = []
}
