package simulation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/registry"
)

const source = "//simulation"

// makeEvents makes what is to be delivered: creations, conflicting ones too,
// moves of resources and of tenants, plain sets as archives have them, and which
// moves are taken back.
func (s *simulation) makeEvents() {
	for n := range 2 + s.random.IntN(4) {
		s.resources = append(s.resources, registry.Resource{Kind: registry.Thread, ID: fmt.Sprint(n)})
	}
	for n := range 3 + s.random.IntN(3+s.random.IntN(20)) {
		s.messages = append(s.messages, s.makeMessage(n))
	}
	for _, m := range s.messages {
		tenantMove := m.changes[0].Resource == registry.Resource{}
		if tenantMove && s.random.IntN(2) == 0 {
			s.retractions = append(s.retractions, &retraction{id: m.changes[0].Entry.ID})
		}
	}
}

func (s *simulation) makeMessage(n int) *message {
	tenant := func() string { return fmt.Sprint("t_", string(rune('a'+s.random.IntN(4)))) }
	entry := registry.Entry{Version: registry.Version{
		Time: time.Unix(int64(s.random.IntN(20)), 0).UTC(), Source: source, ID: fmt.Sprint("e", n),
	}}
	m := &message{name: entry.ID}
	from, to := tenant(), tenant()
	for to == from {
		to = tenant()
	}
	switch s.random.IntN(9) {
	case 0, 1, 2:
		entry.Type, entry.Tenant = registry.Created, from
		if s.random.IntN(3) > 0 {
			entry.Tenant = "t_a" // so that most creations agree
		}
	case 3:
		entry.Type, entry.Tenant = registry.Asserted, from
		entry.Source, entry.ID = "", ""
	case 4:
		entry.Type, entry.From, entry.To = registry.Moved, from, to
	default:
		entry.Type, entry.From, entry.To = registry.Moved, from, to
		m.changes = []registry.Change{{Entry: entry}}
		return m
	}
	count := 1
	if entry.Type == registry.Moved {
		count += s.random.IntN(2)
	}
	for _, i := range s.random.Perm(len(s.resources))[:count] {
		m.changes = append(m.changes, registry.Change{Resource: s.resources[i], Entry: entry})
	}
	return m
}

// events lists what was to be delivered, for a seed that fails.
func (s *simulation) events() string {
	var b strings.Builder
	for _, m := range s.messages {
		e := m.changes[0].Entry
		fmt.Fprintf(&b, "  %s %s at %d s:", m.name, e.Type, e.Time.Unix())
		if e.Type == registry.Moved {
			fmt.Fprintf(&b, " %s → %s", e.From, e.To)
		} else {
			fmt.Fprintf(&b, " %s", e.Tenant)
		}
		for _, c := range m.changes {
			if c.Resource != (registry.Resource{}) {
				fmt.Fprintf(&b, " %s", c.Resource)
			}
		}
		b.WriteString("\n")
	}
	for _, r := range s.retractions {
		fmt.Fprintf(&b, "  retract %s\n", r.id)
	}
	return b.String()
}

// check holds what is left against the reference.
func (s *simulation) check() error {
	var ref reference.Registry
	for _, m := range s.messages {
		ref.Add(m.changes...)
	}
	for _, r := range s.retractions {
		ref.Retract(source, r.id)
	}
	return Compare(s.store, &ref)
}

// Compare returns an error unless the store's owners are those of the reference,
// and every document is what the fold says, its path too.
func Compare(store registry.Store, ref *reference.Registry) error {
	want := ref.Owners()
	visited := 0
	err := store.Export(context.Background(), func(r registry.Record, l *registry.Ledger) error {
		visited++
		owner := r.Owner(l)
		if owner != want[r.Resource] {
			return fmt.Errorf("%s is %s's, by the reference %s's", r.Resource, owner, want[r.Resource])
		}
		if r.TenantID != owner {
			return fmt.Errorf("the document of %s says %s, which is %s's", r.Resource, r.TenantID, owner)
		}
		if u := r.Update(nil, l); u.Write {
			return fmt.Errorf("the document of %s has path %v, by the fold %v", r.Resource, r.Path, u.Path)
		}
		return nil
	})
	if err == nil && visited != len(want) {
		err = fmt.Errorf("%d documents, by the reference %d", visited, len(want))
	}
	return err
}
