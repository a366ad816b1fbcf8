// Package deploy is what is deployed beside the program.
package deploy

import _ "embed"

// FirestoreIndexes is firestore.indexes.json: the indexes, exemptions and TTL
// policies of the collections, without a prefix.
//
//go:embed firestore.indexes.json
var FirestoreIndexes []byte
