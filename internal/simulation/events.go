package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/registry"
)

const source = "//simulation"

// makeEvents makes what is to be delivered: creations, conflicting ones too,
// moves of resources and of tenants, plain sets as archives have them, deletions, and
// which moves are taken back. What the plan leaves out is made too, so that the rest
// stays as it is.
func (s *registryWorld) makeEvents() {
	for n := range 2 + s.contents.IntN(4) {
		s.resources = append(s.resources, registry.Resource{Kind: registry.Thread, ID: fmt.Sprint(n)})
	}
	for n := range 3 + s.contents.IntN(3+s.contents.IntN(20)) {
		s.messages = append(s.messages, s.makeMessage(n))
	}
	for _, m := range s.messages {
		if m.ofLedger() && s.contents.IntN(2) == 0 {
			s.retractions = append(s.retractions, &retraction{id: m.changes[0].Entry.ID})
		}
	}
	s.messages = slices.DeleteFunc(s.messages, func(m *message) bool { return s.plan.without(m.name) })
	s.retractions = slices.DeleteFunc(s.retractions, func(r *retraction) bool { return s.plan.without(r.part()) })
}

func (s *registryWorld) parts() (parts []string) {
	for _, m := range s.messages {
		parts = append(parts, m.name)
	}
	for _, r := range s.retractions {
		parts = append(parts, r.part())
	}
	return parts
}

func (r *retraction) part() string { return "retract " + r.id }

func (s *registryWorld) makeMessage(n int) *message {
	tenant := func() string { return fmt.Sprint("t_", string(rune('a'+s.contents.IntN(4)))) }
	entry := ownership.Entry{Version: ownership.Version{
		Time: time.Unix(int64(s.contents.IntN(20)), 0).UTC(), Source: source, ID: fmt.Sprint("e", n),
	}}
	if s.contents.IntN(3) == 0 { // about when claims are made
		entry.Time = began.Add(s.ahead).Add(time.Duration(s.contents.IntN(300)) * time.Second)
	}
	if s.erasing.tenant != "" { // of events at one time the names decide, and they change
		entry.Time = entry.Time.Add(time.Duration(n) * time.Microsecond)
	}
	m := &message{name: entry.ID, n: n}
	if n > 0 && s.contents.IntN(8) == 0 {
		entry.ID = fmt.Sprint("e", s.contents.IntN(n)) // a name that was used before
	}
	from, to := tenant(), tenant()
	for to == from {
		to = tenant()
	}
	if s.contents.IntN(200) == 0 {
		m.changes = s.makeFlood(entry, from, to)
		return m
	}
	if s.deletions && s.contents.IntN(6) == 0 {
		r := s.resources[s.contents.IntN(len(s.resources))]
		m.changes = []ownership.Change{{Resource: r, Entry: ownership.Entry{Type: ownership.Deleted, Version: ownership.Version{Time: entry.Time}}}}
		return m
	}
	switch s.contents.IntN(10) {
	case 9:
		r := s.resources[s.contents.IntN(len(s.resources))]
		m.changes = []ownership.Change{{Resource: r, Entry: ownership.ClaimEntry(from, r, entry.Time)}} // from an archive
		return m
	case 0, 1, 2:
		entry.Type, entry.Tenant = ownership.Created, from
		if s.contents.IntN(3) > 0 {
			entry.Tenant = "t_a" // so that most creations agree
		}
	case 3:
		entry.Type, entry.Tenant = ownership.Asserted, from
		entry.Source, entry.ID = "", ""
	case 4:
		entry.Type, entry.From, entry.To = ownership.Moved, from, to
	default:
		entry.Type, entry.From, entry.To = ownership.Moved, from, to
		if s.erasing.tenant != "" && s.contents.IntN(3) > 0 {
			break // an erasure waits for moves of whole tenants: it is to begin meanwhile
		}
		m.changes = []ownership.Change{{Entry: entry}}
		return m
	}
	count := 1
	if entry.Type == ownership.Moved {
		count += s.contents.IntN(2)
	}
	for _, i := range s.contents.Perm(len(s.resources))[:count] {
		m.changes = append(m.changes, ownership.Change{Resource: s.resources[i], Entry: entry})
	}
	return m
}

// makeFlood makes more moves of one resource than may be without effect.
func (s *registryWorld) makeFlood(entry ownership.Entry, from, to string) (changes []ownership.Change) {
	r := s.resources[s.contents.IntN(len(s.resources))]
	entry.Type, entry.From, entry.To = ownership.Moved, from, to
	id := entry.ID
	for i := range ownership.MaxIdleMoves + 3 {
		entry.ID = fmt.Sprint(id, "-", i)
		entry.Time = entry.Time.Add(time.Nanosecond)
		changes = append(changes, ownership.Change{Resource: r, Entry: entry})
	}
	return changes
}

// events lists what was to be delivered, for a plan that fails.
func (s *registryWorld) events() (all []string) {
	for _, m := range s.messages {
		e := m.changes[0].Entry
		line := fmt.Sprintf("%s %s %s at %s:", m.name, e.Type, e.ID, e.Time.Format(time.RFC3339Nano))
		if e.Type == ownership.Moved {
			line += fmt.Sprintf(" %s → %s", e.From, e.To)
		} else {
			line += " " + e.Tenant
		}
		for _, c := range m.changes[:min(2, len(m.changes))] {
			if c.Resource != (registry.Resource{}) {
				line += " " + c.Resource.String()
			}
		}
		if len(m.changes) > 2 {
			line += fmt.Sprintf(", %d moves", len(m.changes))
		}
		all = append(all, line)
	}
	for _, r := range s.retractions {
		all = append(all, r.part())
	}
	for _, c := range s.claims {
		all = append(all, fmt.Sprintf("claim %s %s: %t", c.resource, c.tenant, c.yes))
	}
	return all
}

// check holds what is left against the reference: with the claims that were
// answered yes, and without the moves for which there was no room.
func (s *registryWorld) check() error {
	var ref reference.Registry
	for _, m := range s.messages {
		for _, c := range m.changes {
			entry := s.kept(c.Entry)
			if !s.refused[c] || s.history(c.Resource).Has(entry) {
				ref.Add(ownership.Change{Resource: c.Resource, Entry: entry})
			}
		}
	}
	for _, r := range s.retractions {
		ref.Add(ownership.Retraction(ownership.Version{Source: source, ID: r.id}, "", ""))
	}
	for _, r := range s.resources {
		if s.erasing.erased[r] {
			ref.Add(ownership.Change{Resource: r, Entry: ownership.Entry{Type: ownership.Deleted}})
		}
	}
	if err := errors.Join(s.checkClaims(&ref), s.checkNames(), s.checkLog()); err != nil {
		return err
	}
	return Compare(s.truth, &ref)
}

// checkClaims holds that claims that were answered yes are stored, and adds those that
// are.
func (s *registryWorld) checkClaims(ref *reference.Registry) error {
	for _, c := range s.claims {
		kept, ok := s.history(c.resource).Claimed()
		if s.history(c.resource).Deleted() {
			continue
		}
		tenant := s.kept(ownership.ClaimEntry(c.tenant, c.resource, time.Time{})).Tenant
		if c.yes && !ok {
			return fmt.Errorf("%s was answered yes for %s, and there is no claim", c.tenant, c.resource)
		}
		if ok && kept.Tenant == tenant {
			ref.Add(ownership.Change{Resource: c.resource, Entry: kept})
		}
		if c.yes && kept.Tenant != tenant && !s.archived(c.resource, kept) {
			return fmt.Errorf("%s was answered yes for %s, and the claim is by %s", c.tenant, c.resource, kept.Tenant)
		}
	}
	return nil
}

// archived reports whether a claim came from an archive: of several the smallest
// counts.
func (s *registryWorld) archived(r registry.Resource, claim ownership.Entry) bool {
	return slices.ContainsFunc(s.messages, func(m *message) bool {
		e := m.changes[0].Entry
		return m.changes[0].Resource == r && (e.Equal(claim) || s.kept(e).Equal(claim))
	})
}

func (s *registryWorld) history(r registry.Resource) ownership.History {
	snapshot := s.snapshot(r)
	if len(snapshot.Records) == 0 {
		return nil
	}
	return snapshot.Records[0].History
}

func (s *registryWorld) snapshot(resources ...registry.Resource) ownership.Snapshot {
	resources = slices.DeleteFunc(resources, func(r registry.Resource) bool { return r == registry.Resource{} })
	snapshot, err := s.truth.Read(context.Background(), resources)
	if err != nil {
		s.fails("read: %w", err)
	}
	return snapshot
}

// holdsEvent reports whether the history has an entry of this name.
func holdsEvent(h ownership.History, e ownership.Entry) bool {
	return slices.ContainsFunc(h, func(f ownership.Entry) bool { return f.Type == e.Type && f.SameEvent(e.Version) })
}

// Compare returns an error unless the store's owners are those of the reference,
// and every document is what the fold says, its path too.
func Compare(store ownership.Store, ref *reference.Registry) error {
	want := ref.Owners()
	visited := 0
	err := store.Export(context.Background(), func(r ownership.Record, l *ownership.Ledger) error {
		visited++
		owner := r.History.Owner(l)
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
