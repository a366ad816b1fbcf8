package regstore

import (
	"errors"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

func (s *Store) write(t *target, u ownership.Update, on docdb.Condition) docdb.Write {
	if u.History.Deleted() {
		return s.tombstone(t.resource, u, on)
	}
	return docdb.Write{Name: s.resourceName(t.resource), Fields: encode(u, s.horizon()), Mask: resourceFields, If: on}
}

// asUnavailable makes sure that an error wraps registry.ErrUnavailable.
func asUnavailable(err error) error {
	if errors.Is(err, registry.ErrUnavailable) {
		return err
	}
	return unavailable("apply", err)
}
