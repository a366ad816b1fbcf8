//go:build proofs

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// workload is a set of events to be delivered in any order.
type workload struct {
	events    []events.Event
	resources []registry.Resource
	tenants   []string
	moves     []events.Event // of whole tenants
}

// loadWorkload reads the archive that REGISTRY_TEST_ARCHIVE names, or makes events of its
// own, and adds moves of whole tenants.
func loadWorkload(t *testing.T, random *rand.Rand) workload {
	t.Helper()
	var w workload
	if file := os.Getenv(archiveVariable); file != "" {
		w.read(t, file)
	} else {
		w.make(random)
	}
	first, last := w.events[0].Time, w.events[0].Time
	for _, e := range w.events {
		w.note(e)
		if e.Time.Before(first) {
			first = e.Time
		}
		if e.Time.After(last) {
			last = e.Time
		}
	}
	for i := range 12 {
		from, to := w.tenants[random.IntN(len(w.tenants))], w.tenants[random.IntN(len(w.tenants))]
		if from == to {
			to = fmt.Sprint("t_new_", i)
		}
		move := events.Event{
			ID: fmt.Sprint("proof-move-", i), Source: "//proof",
			Time: first.Add(time.Duration(random.Int64N(int64(last.Sub(first)) + 1))),
			Data: events.TenantMoved{FromTenantID: from, ToTenantID: to},
		}
		w.moves, w.events = append(w.moves, move), append(w.events, move)
	}
	return w
}

func (w *workload) read(t *testing.T, file string) {
	t.Helper()
	r, err := archive.Open([]string{file}, nil)
	require.NoError(t, err)
	for line, err := range r.Lines(t.Context()) {
		require.NoError(t, err)
		e, err := archived.Decode(line.Text, time.Now())
		require.NoError(t, err, "%s:%d", line.File, line.Number)
		w.events = append(w.events, e)
	}
}

// make makes creations, some by two tenants, and moves that name resources, some
// of which do not apply.
func (w *workload) make(random *rand.Rand) {
	const threads, moves = 4000, 400
	tenant := func() string { return fmt.Sprint("t_", random.IntN(20)) }
	at := func() time.Time { return time.Date(2024, 1, 1, 0, 0, random.IntN(1_000_000), 0, time.UTC) }
	add := func(data events.Data) {
		w.events = append(w.events, events.Event{ID: fmt.Sprint("made-", len(w.events)), Source: "//proof", Time: at(), Data: data})
	}
	for n := range threads {
		id := fmt.Sprint("th_", n)
		add(events.ThreadCreated{TenantID: tenant(), ThreadID: id})
		if random.IntN(50) == 0 {
			add(events.ThreadCreated{TenantID: tenant(), ThreadID: id})
		}
		if random.IntN(10) == 0 {
			add(events.CanvasCreated{TenantID: tenant(), CanvasID: fmt.Sprint("cv_", n)})
		}
	}
	for range moves {
		from, to := tenant(), tenant()
		if from == to {
			continue
		}
		data := events.TenantMoved{FromTenantID: from, ToTenantID: to}
		for _, n := range random.Perm(threads)[:1+random.IntN(5)] {
			data.Resources = append(data.Resources, events.ResourceRef{Kind: "thread", ID: fmt.Sprint("th_", n)})
		}
		add(data)
	}
}

func (w *workload) note(e events.Event) {
	for _, c := range handlers.Changes(e) {
		if c.Resource != (registry.Resource{}) && !slices.Contains(w.tenants, c.Entry.Tenant) && c.Entry.Tenant != "" {
			w.tenants = append(w.tenants, c.Entry.Tenant)
		}
		if c.Entry.Type == ownership.Created {
			w.resources = append(w.resources, c.Resource)
		}
	}
}

// deliveries are all events, a fifth of them twice, in any order.
func (w *workload) deliveries(random *rand.Rand) []events.Event {
	all := slices.Clone(w.events)
	for _, i := range random.Perm(len(w.events))[:len(w.events)/5] {
		all = append(all, w.events[i])
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// justified knows which tenants any set of the events published so far could
// make the owner of a resource: those that created it, or from whom a move of it
// began, and wherever moves lead from there.
type justified struct {
	mu     sync.Mutex
	bases  map[registry.Resource][]string
	moves  map[registry.Resource]map[string][]string // to, by from
	ledger map[string][]string
}

func newJustified() *justified {
	return &justified{bases: map[registry.Resource][]string{}, moves: map[registry.Resource]map[string][]string{}, ledger: map[string][]string{}}
}

func (j *justified) published(e events.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range handlers.Changes(e) {
		switch {
		case c.Resource == (registry.Resource{}):
			j.ledger[c.Entry.From] = append(j.ledger[c.Entry.From], c.Entry.To)
		case c.Entry.Type == ownership.Created:
			j.bases[c.Resource] = append(j.bases[c.Resource], c.Entry.Tenant)
		default:
			j.bases[c.Resource] = append(j.bases[c.Resource], c.Entry.From)
			if j.moves[c.Resource] == nil {
				j.moves[c.Resource] = map[string][]string{}
			}
			j.moves[c.Resource][c.Entry.From] = append(j.moves[c.Resource][c.Entry.From], c.Entry.To)
		}
	}
}

func (j *justified) yes(r registry.Resource, tenant string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	seen, left := map[string]bool{}, slices.Clone(j.bases[r])
	for len(left) > 0 {
		t := left[0]
		left = left[1:]
		if seen[t] {
			continue
		}
		seen[t] = true
		left = append(append(left, j.moves[r][t]...), j.ledger[t]...)
	}
	return seen[tenant]
}
