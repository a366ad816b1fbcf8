package ownership

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Alias is what the ledger has while a tenant is being erased: a move of everything
// from the tenant to its pseudonym, under the name of the erasure, and retracted. It
// moves nothing. Folds take the two for one tenant as long as it is there, so documents
// and moves can be renamed one after the other, in any order.
func (k ErasureKey) Alias(tenant string, said Said) LedgerEntry {
	name := k.EntryOf(tenant)
	return LedgerEntry{
		Version: Version{Time: said.At, Source: name.Source, ID: name.ID}, From: tenant, To: k.Pseudonym(tenant),
		Retractions: []Said{said}, Rewriting: Rewriting{State: RewritingDone},
	}
}

// BeginErasure is the change that makes the alias, at the store's time: what was said
// first stays. EndErasure leaves of it that the tenant was erased, by its hash.
func (k ErasureKey) BeginErasure(tenant, by, why string) LedgerChange {
	return LedgerChange{Event: k.EntryOf(tenant), First: true, Update: func(before LedgerEntry, exists bool, now time.Time) LedgerUpdate {
		said := Said{By: by, Why: why, At: now}
		if exists && before.Retracted() {
			said = before.Retractions[0]
		}
		return changeTo(before, exists && before.From == tenant, k.Alias(tenant, said))
	}}
}

// EndErasure is the change that ends what BeginErasure began.
func (k ErasureKey) EndErasure(tenant string) LedgerChange {
	return LedgerChange{Event: k.EntryOf(tenant), Update: func(before LedgerEntry, exists bool, _ time.Time) LedgerUpdate {
		after := before
		after.Version = Version{Source: before.Source, ID: before.ID}
		after.From, after.To, after.RetractionOnly = "", "", true
		return changeTo(before, !exists || before.RetractionOnly, after)
	}}
}

// changeTo is the update of an entry to another, unless it is done.
func changeTo(before LedgerEntry, done bool, after LedgerEntry) LedgerUpdate {
	if done {
		return LedgerUpdate{Entry: before, Outcome: Outcome{Kind: Duplicate}}
	}
	return LedgerUpdate{Entry: after, Write: true, Outcome: Outcome{Kind: Applied}}
}

// aliases are the tenants that are being erased, and their pseudonyms, each by the
// other.
func (t *moveTrees) aliases() (aliases map[string]string) {
	t.byName.Ascend(pack([]Move{{Version: Version{Source: ClaimSource, ID: erasedEntry}}})[0], func(m *packedMove) bool {
		if !m.ofErasure() {
			return false
		}
		if from, to := m.fromTenant(), m.toTenant(); from != "" {
			if aliases == nil {
				aliases = map[string]string{}
			}
			aliases[from], aliases[to] = to, from
		}
		return true
	})
	return aliases
}

// ofErasure reports whether the entry says that a tenant was, or is being, erased.
func (p *packedMove) ofErasure() bool {
	id := p.id()
	return len(id) > len(erasedEntry) && id[:len(erasedEntry)] == erasedEntry && p.source.Value() == ClaimSource
}

// OfErasure reports whether the entry is no move, and says that a tenant was, or is
// being, erased.
func (e LedgerEntry) OfErasure() bool {
	return e.Source == ClaimSource && strings.HasPrefix(e.ID, erasedEntry)
}

// same reports whether two tenants are one to folds.
func (l *Ledger) same(a, b string) bool {
	return a == b || l != nil && l.aliases != nil && a != "" && l.aliases[a] == b
}

// Leading are the tenants from which moves that count lead to a tenant, one after the
// other, whenever they were made; the tenant is one of them.
func (l *Ledger) Leading(to string) map[string]bool {
	sources := map[string][]string{}
	for m := range l.Counting() {
		sources[m.To] = append(sources[m.To], m.From)
	}
	leading := map[string]bool{to: true}
	for next := []string{to}; len(next) > 0; next = next[1:] {
		for _, from := range sources[next[0]] {
			if !leading[from] {
				leading[from] = true
				next = append(next, from)
			}
		}
	}
	return leading
}

// canonical is a path by the fold with the pseudonyms of tenants that are being erased.
func (l *Ledger) canonical(path []string) []string {
	if l == nil || l.aliases == nil {
		return path
	}
	var renamed []string
	for _, tenant := range path {
		if pseudonym, ok := l.aliases[tenant]; ok && IsPseudonym(pseudonym) {
			tenant = pseudonym
		}
		renamed = append(slices.DeleteFunc(renamed, func(t string) bool { return t == tenant }), tenant)
	}
	return renamed
}

// Named reports whether the entry names a tenant anywhere.
func (e LedgerEntry) Named(tenant string) bool {
	texts := []string{e.Source, e.ID, e.Reason, e.Actor, e.Rewriting.Failure}
	for _, said := range e.Retractions {
		texts = append(texts, said.By, said.Why)
	}
	for _, d := range e.Displaced {
		texts = append(texts, d.Source, d.ID, d.Reason, d.Actor)
		if d.of(tenant) {
			return true
		}
	}
	return e.From == tenant || e.To == tenant || slices.Contains(e.Rewriting.Tenants, tenant) ||
		slices.ContainsFunc(texts, func(text string) bool { return Names(text, tenant) })
}

// Rename returns the changes, of one commit, by which the entry loses a tenant's name.
// The tenant has an alias in the ledger.
//
// An entry whose event's name has the tenant's in it cannot stay under that name: its
// place is taken by one under the new name, under which the event is found if it comes
// again. What is left under the old one says nothing, and emptied reports that it must
// get another name (EmptiedAs).
func (e LedgerEntry) Rename(tenant, pseudonym string) (changes []LedgerChange, emptied bool) {
	if e.SaysNothing() {
		return nil, Names(e.Source, tenant) || Names(e.ID, tenant)
	}
	renamed := e.renamed(tenant, pseudonym)
	if renamed.EventName() == e.EventName() {
		return []LedgerChange{{Event: e.EventName(), Update: func(before LedgerEntry, exists bool, _ time.Time) LedgerUpdate {
			return changeTo(before, !exists || !before.Named(tenant), before.renamed(tenant, pseudonym))
		}}}, false
	}
	now := e // as the commit finds it: it may have been retracted since e was read
	return []LedgerChange{
		{Event: e.EventName(), First: true, Update: func(before LedgerEntry, exists bool, _ time.Time) LedgerUpdate {
			if exists && !before.SaysNothing() {
				now = before
			}
			return LedgerUpdate{Entry: before, Outcome: Outcome{Kind: Applied}} // it only looks
		}},
		{Event: renamed.EventName(), Update: func(before LedgerEntry, exists bool, _ time.Time) LedgerUpdate {
			after := now.renamed(tenant, pseudonym)
			if exists {
				after = before.joinedBy(after)
			}
			return changeTo(before, exists && len(after.Retractions) == len(before.Retractions) && after.RetractionOnly == before.RetractionOnly, after)
		}},
		{Event: e.EventName(), Update: func(before LedgerEntry, exists bool, at time.Time) LedgerUpdate {
			nothing := LedgerEntry{
				Version: Version{Source: e.Source, ID: e.ID}, RetractionOnly: true,
				Retractions: []Said{{By: ClaimSource, Why: emptiedWhy, At: at}}, Rewriting: Rewriting{State: RewritingDone},
			}
			return changeTo(before, !exists || before.SaysNothing(), nothing)
		}},
	}, true
}

// joinedBy is an entry with what another one says of the same event, which has come
// under either name: retracted if one of them is. What is left to do of both jobs stays.
func (e LedgerEntry) joinedBy(other LedgerEntry) LedgerEntry {
	joined := e
	if e.RetractionOnly && !other.RetractionOnly {
		joined = other
	}
	joined.Retractions = slices.Clone(e.Retractions)
	for _, said := range other.Retractions {
		if !slices.Contains(joined.Retractions, said) {
			joined.Retractions = append(joined.Retractions, said)
		}
	}
	var left []string
	if other.Rewriting.Pending() {
		left = other.Rewriting.Tenants
	}
	joined.Rewriting = e.Rewriting.queue(e.counting(true), left)
	return joined
}

// emptiedWhy is why an entry of ClaimSource is retracted that says nothing any more. (A
// retraction in an archive may give no reason, and counts.)
const emptiedWhy = "emptied by an erasure"

// SaysNothing reports whether the entry is what an erasure has left of one whose name
// had the tenant's in it.
func (e LedgerEntry) SaysNothing() bool {
	return e.RetractionOnly && len(e.Retractions) == 1 && e.Retractions[0].By == ClaimSource && e.Retractions[0].Why == emptiedWhy
}

// EmptiedAs is the name of an entry that says nothing any more.
func EmptiedAs(name EventName) EventName {
	sum := sha256.Sum256([]byte(name.Source + "\x00" + name.ID))
	return EventName{ClaimSource, "emptied/" + hex.EncodeToString(sum[:])}
}

// renamed is the entry with another name for a tenant. Its documents are looked at
// again: of moves of one time the order may be another. What is left to do of its job
// stays: it may have been retracted since the erasure began.
func (e LedgerEntry) renamed(tenant, pseudonym string) LedgerEntry {
	m := e.AsEntry().Renamed(tenant, pseudonym)
	if e.RetractionOnly { // the move that it waits for names the tenant, if its id does
		m.Source, m.ID = RenamedText(e.Source, tenant, pseudonym), RenamedText(e.ID, tenant, pseudonym)
	}
	e.Version, e.From, e.To, e.Reason, e.Actor = m.Version, m.From, m.To, m.Reason, m.Actor
	e.Displaced = renamedAll(e.Displaced, func(d Entry) Entry { return d.Renamed(tenant, pseudonym) })
	e.Retractions = slices.Clone(e.Retractions)
	for i, said := range e.Retractions {
		e.Retractions[i].By, e.Retractions[i].Why = RenamedText(said.By, tenant, pseudonym), RenamedText(said.Why, tenant, pseudonym)
	}
	var left Rewriting
	if e.Rewriting.Pending() {
		left = Rewriting{State: RewritingQueued, Tenants: slices.Clone(e.Rewriting.Tenants)}
		for i, t := range left.Tenants {
			if t == tenant {
				left.Tenants[i] = pseudonym
			}
		}
	}
	e.Rewriting = left.queue(nil, e.counting(true))
	return e
}
