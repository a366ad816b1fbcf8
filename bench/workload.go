package main

import (
	"context"
	"fmt"
	"iter"
	"math/bits"
	"os"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
)

// workload is what is published, and what is in the registry before.
type workload struct {
	name, what string
	seed       func(n int) iter.Seq[events.Event] // applied before the measurement; nil: nothing
	events     func(n int) iter.Seq[events.Event]
	probeReads bool // the probe reads instead of writing
	noProbe    bool // the probe has nothing to do that would compare
}

func allWorkloads(archiveFile string) []workload {
	all := []workload{
		{name: "fresh", what: "creations of threads that are new, of 1,000 tenants",
			events: func(n int) iter.Seq[events.Event] { return creations(0, n, tenants) }},
		{name: "duplicates", what: "a redelivery: every thread is in the registry already; the probe reads instead of writing",
			seed:       func(n int) iter.Seq[events.Event] { return creations(0, n, tenants) },
			events:     func(n int) iter.Seq[events.Event] { return creations(0, n, tenants) },
			probeReads: true},
		{name: "mix", what: "90 % creations, 8 % duplicates (half of long ago, half of just now), 2 % moves of one thread each",
			seed: func(n int) iter.Seq[events.Event] { return creations(n, n+n/10, tenants) }, events: mix},
		{name: "moves", what: "moves of one thread each, all of them different and in the registry already; the probe writes new documents",
			seed: func(n int) iter.Seq[events.Event] { return creations(0, n, tenants) }, events: movesOfAll},
		{name: "hot-tenant", what: "creations of threads that are new, all of one tenant",
			events: func(n int) iter.Seq[events.Event] { return creations(0, n, 1) }},
		{name: "hot-resource", what: "1,000 events that concern one thread, 200 of them moves, each delivered over and over",
			seed: func(int) iter.Seq[events.Event] { return creations(0, 1, tenants) }, events: hotResource, noProbe: true},
		{name: "migration", what: "one move of a whole tenant in eleven events, each of another tenant, among creations of threads that are new",
			events: migration},
	}
	if archiveFile != "" {
		all = append(all, workload{name: "archive", what: "the file given by -archive",
			events: func(int) iter.Seq[events.Event] { return fromArchive(archiveFile) }})
	}
	return all
}

const (
	tenants = 1000
	source  = "//nexus/bench"
)

// Times lie in the past, so that no clock can make them come from the future.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// creations are those of threads from..to, of so many tenants.
func creations(from, to, tenants int) iter.Seq[events.Event] {
	return func(yield func(events.Event) bool) {
		for i := from; i < to; i++ {
			if !yield(creation(i, tenants)) {
				return
			}
		}
	}
}

func creation(i, tenants int) events.Event {
	id := threadID(i)
	return events.Event{
		ID: fmt.Sprintf("ev-%09d", i), Source: source, Time: epoch.Add(time.Duration(i) * time.Millisecond),
		Subject: "thread/" + id,
		Data:    events.ThreadCreated{TenantID: tenant(i, tenants), ThreadID: id},
	}
}

// threadID is spread over the key range, as the ids of a real service are.
func threadID(i int) string {
	return fmt.Sprintf("th_%016x", bits.Reverse64(uint64(i)*0x9e3779b97f4a7c15))
}

func tenant(i, tenants int) string { return fmt.Sprintf("t_%08d", i%tenants) }

// mix has, in every 50 events, 45 creations, 4 duplicates and 1 move. What lies
// beyond n is in the registry before.
func mix(n int) iter.Seq[events.Event] {
	return func(yield func(events.Event) bool) {
		created, old := 0, n
		for i := range n {
			var e events.Event
			switch {
			case i%50 == 49: // a move of something of long ago
				e = move(i, old, tenant(old, tenants), tenant(old+1, tenants))
				old++
			case i%50 == 12, i%50 == 24: // of long ago
				e = creation(old, tenants)
				old++
			case created > 1000 && (i%50 == 36 || i%50 == 47): // of just now
				e = creation(created-1000, tenants)
			default:
				e = creation(created, tenants)
				created++
			}
			if !yield(e) {
				return
			}
		}
	}
}

func movesOfAll(n int) iter.Seq[events.Event] {
	return func(yield func(events.Event) bool) {
		for i := range n {
			if !yield(move(i, i, tenant(i, tenants), tenant(i+1, tenants))) {
				return
			}
		}
	}
}

func move(i, thread int, from, to string) events.Event {
	return events.Event{
		ID: fmt.Sprintf("mv-%09d", i), Source: source, Time: epoch.Add(time.Hour*24*30 + time.Duration(i)*time.Millisecond),
		Data: events.TenantMoved{FromTenantID: from, ToTenantID: to, Resources: []events.ResourceRef{{Kind: "thread", ID: threadID(thread)}}},
	}
}

// hotResource is the creation of one thread under 800 event ids, and 200 moves
// of it back and forth, over and over until there are n. In whatever order they come,
// not more than 100 moves are without effect, which is what a history keeps.
func hotResource(n int) iter.Seq[events.Event] {
	return func(yield func(events.Event) bool) {
		for i := range n {
			k := i % 1000
			e := creation(0, tenants)
			e.ID = fmt.Sprintf("ev-%09d", k)
			if k%5 == 4 {
				e = move(k, 0, tenant(k/5%2, tenants), tenant((k/5+1)%2, tenants))
			}
			if !yield(e) {
				return
			}
		}
	}
}

// migration is 10,000 moves of whole tenants among 100,000 creations, or as many
// of each as n allows: a customer who moves house while business goes on.
func migration(n int) iter.Seq[events.Event] {
	return func(yield func(events.Event) bool) {
		moves := n / 11
		for i := range n {
			e := creation(i, max(1, moves))
			if i%11 == 10 {
				e = move(i, 0, tenant(i/11, max(1, moves)), fmt.Sprintf("t_new_%08d", i/11))
				e.Data = events.TenantMoved{FromTenantID: e.Data.(events.TenantMoved).FromTenantID, ToTenantID: e.Data.(events.TenantMoved).ToTenantID}
			}
			if !yield(e) {
				return
			}
		}
	}
}

// fromArchive is all events of a file. It ends early if a line cannot be read: the
// count at the end shows that.
func fromArchive(file string) iter.Seq[events.Event] {
	return func(yield func(events.Event) bool) {
		reader, err := archive.Open([]string{file}, os.Stdin)
		if err != nil {
			return
		}
		for line, err := range reader.Lines(context.Background()) {
			if err != nil {
				return
			}
			e, err := archived.Decode(line.Text, time.Now())
			if err == nil && !yield(e) {
				return
			}
		}
	}
}

// between is creations, whatever n is.
func between(from, to int) func(int) iter.Seq[events.Event] {
	return func(int) iter.Seq[events.Event] { return creations(from, to, tenants) }
}

func createdThread(e events.Event) (thread, tenant string) {
	data := e.Data.(events.ThreadCreated)
	return data.ThreadID, data.TenantID
}
