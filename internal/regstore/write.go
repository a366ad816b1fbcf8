package regstore

import (
	"crypto/rand"
	"errors"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The fields of a change feed entry.
const (
	fieldResource  = "resource"   // a document name of the main collection
	fieldAt        = "at"         // commit time
	fieldExpiresAt = "expires_at" // for the TTL policy
)

// feedFormat is the format of what feedWrite writes.
const feedFormat = 1

func (s *Store) write(t *target, u ownership.Update, on docdb.Condition) docdb.Write {
	return docdb.Write{Name: s.resourceName(t.resource), Fields: encode(u), Mask: resourceFields, If: on}
}

// feedWrite adds a change feed entry under a name of its own, so that readers
// can drop those that they see twice.
func (s *Store) feedWrite(r registry.Resource) docdb.Write {
	return docdb.Write{
		Name: s.db.Name(FeedCollection, rand.Text()),
		Fields: map[string]*docdb.Value{
			fieldResource:  docdb.Text(r.DocumentID()),
			fieldFormat:    docdb.Integer(feedFormat),
			fieldExpiresAt: docdb.Timestamp(time.Now().Add(FeedTTL)),
		},
		Times: []string{fieldAt},
		If:    docdb.Absent,
	}
}

// asUnavailable makes sure that an error wraps registry.ErrUnavailable.
func asUnavailable(err error) error {
	if errors.Is(err, registry.ErrUnavailable) {
		return err
	}
	return unavailable("apply", err)
}
