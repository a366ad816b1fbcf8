package regstore

import (
	"crypto/rand"
	"errors"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The fields of a change feed entry. Resources are named by their documents in
// the main collection: one alone in the first field, several in the second.
const (
	fieldResource  = "resource"
	fieldResources = "resources"
	fieldAt        = "at"         // time of the request
	fieldExpiresAt = "expires_at" // for the TTL policy
)

// The formats of change feed entries. One that names several resources is not
// understood by the release before it, whose verifiers then drop all that they
// keep.
const (
	feedFormatOne  = 1
	feedFormatMany = 2
)

func (s *Store) write(t *target, u ownership.Update, on docdb.Condition) docdb.Write {
	return docdb.Write{Name: s.resourceName(t.resource), Fields: encode(u), Mask: resourceFields, If: on}
}

// feedWrite adds the change feed entry of a commit, under a name of its own, so
// that readers can drop what they see twice.
func (s *Store) feedWrite(resources ...registry.Resource) docdb.Write {
	fields := map[string]*docdb.Value{fieldExpiresAt: docdb.Timestamp(time.Now().Add(FeedTTL))}
	if len(resources) == 1 {
		fields[fieldResource], fields[fieldFormat] = docdb.Text(resources[0].DocumentID()), docdb.Integer(feedFormatOne)
	} else {
		names := make([]string, len(resources))
		for i, r := range resources {
			names[i] = r.DocumentID()
		}
		fields[fieldResources], fields[fieldFormat] = docdb.Texts(names), docdb.Integer(feedFormatMany)
	}
	return docdb.Write{Name: s.db.Name(FeedCollection, rand.Text()), Fields: fields, Times: []string{fieldAt}, If: docdb.Absent}
}

// asUnavailable makes sure that an error wraps registry.ErrUnavailable.
func asUnavailable(err error) error {
	if errors.Is(err, registry.ErrUnavailable) {
		return err
	}
	return unavailable("apply", err)
}
