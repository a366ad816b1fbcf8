# What an installation has on Google Cloud: topics and subscriptions, Firestore with
# its indexes and expiry, and a service account with no more than it needs for each
# part. What runs where is not in it: deploy/kubernetes, deploy/cloudrun.
terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0"
    }
  }
}
