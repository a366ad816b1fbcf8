resource "google_firestore_database" "registry" {
  project                           = var.project
  name                              = var.database
  location_id                       = var.location
  type                              = "FIRESTORE_NATIVE"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = "DELETE_PROTECTION_ENABLED"
  depends_on                        = [google_project_service.used]

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_firestore_backup_schedule" "daily" {
  project   = var.project
  database  = google_firestore_database.registry.name
  retention = "604800s" # 7 days

  daily_recurrence {}
}

# Indexes, exemptions and expiry, from the file that tests hold against the code.
locals {
  indexes = jsondecode(file("${path.module}/../firestore.indexes.json"))
}

resource "google_firestore_field" "registry" {
  for_each   = { for f in local.indexes.fieldOverrides : "${f.collectionGroup}.${f.fieldPath}" => f }
  project    = var.project
  database   = google_firestore_database.registry.name
  collection = "${var.collection_prefix}${each.value.collectionGroup}"
  field      = each.value.fieldPath

  # Without an index in it, the field has none.
  index_config {
    dynamic "indexes" {
      for_each = each.value.indexes
      content {
        order        = lookup(indexes.value, "order", null)
        array_config = lookup(indexes.value, "arrayConfig", null)
        query_scope  = indexes.value.queryScope
      }
    }
  }

  dynamic "ttl_config" {
    for_each = lookup(each.value, "ttl", false) ? [true] : []
    content {}
  }
}

resource "google_firestore_index" "registry" {
  for_each    = { for i in local.indexes.indexes : join(".", concat([i.collectionGroup], i.fields[*].fieldPath)) => i }
  project     = var.project
  database    = google_firestore_database.registry.name
  collection  = "${var.collection_prefix}${each.value.collectionGroup}"
  query_scope = each.value.queryScope

  dynamic "fields" {
    for_each = each.value.fields
    content {
      field_path = fields.value.fieldPath
      order      = fields.value.order
    }
  }
}
