package crashpoints_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/crashpoints"
	"github.com/northstar-engines/realtime-registry/registry"
)

// event is an event, with what a subscription delivers of it.
type event struct{ events.Event }

// day is when events of the scenarios happen: before the clock of a bubble begins.
var day = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)

func at(minute int, id string, data events.Data) event {
	return event{events.Event{ID: id, Source: "//nexus", Time: day.Add(time.Duration(minute) * time.Minute), Data: data}}
}

func thread(minute int, tenant, id string) event {
	return at(minute, fmt.Sprintf("c-%s-%s", id, tenant), events.ThreadCreated{TenantID: tenant, ThreadID: id})
}

func canvas(minute int, tenant, id string) event {
	return at(minute, fmt.Sprintf("c-%s-%s", id, tenant), events.CanvasCreated{TenantID: tenant, CanvasID: id})
}

func moved(minute int, id, from, to string, threads ...string) event {
	data := events.TenantMoved{FromTenantID: from, ToTenantID: to}
	for _, t := range threads {
		data.Resources = append(data.Resources, events.ResourceRef{Kind: "thread", ID: t})
	}
	return at(minute, id, data)
}

// threads are n creations by a tenant.
func threads(tenant string, n int) (all []event) {
	for i := range n {
		all = append(all, thread(1+i, tenant, fmt.Sprintf("th-%s-%d", tenant, i)))
	}
	return all
}

// queue is subscriptions and the dead-letter topic, which outlive the workers.
type queue struct {
	mu      sync.Mutex
	waiting []consumer.Message // that are not acknowledged
	letters []consumer.DeadLetter
	all     int
}

func newQueue(t *testing.T, all ...event) *queue {
	q := &queue{all: len(all)}
	for i, e := range all {
		body, err := json.Marshal(e.Data)
		require.NoError(t, err)
		q.waiting = append(q.waiting, consumer.Message{
			ID: fmt.Sprintf("m%d", i), Subscription: e.Type().Subscription(), PublishTime: time.Now(), Data: body,
			Attributes: map[string]string{
				"ce-specversion": "1.0", "ce-id": e.ID, "ce-source": e.Source, "ce-type": string(e.Type()), "ce-time": e.Time.Format(time.RFC3339Nano),
			},
		})
	}
	return q
}

// requireSettled holds that every message is acknowledged, that what was refused is
// among the dead letters, and that nothing else is.
func (q *queue) requireSettled(t *testing.T, refused map[string]events.Reason) {
	require.Empty(t, q.waiting)
	got := map[string]events.Reason{}
	for _, l := range q.letters { // the same letter may have come twice
		got[l.Attributes[consumer.MessageIDAttribute]] = events.Reason(l.Attributes[consumer.ReasonAttribute])
	}
	require.Equal(t, refused, got)
}

// held is the queue as one worker has it: its acknowledgements and its dead letters are
// effects.
type held struct {
	*queue
	process *crashpoints.Process
	done    func()
}

func (h held) Check(context.Context) error { return nil }
func (h held) Ready() error                { return nil }

// Receive delivers everything that is not acknowledged, and whatever is nacked again.
func (h held) Receive(ctx context.Context, _ consumer.Limits, deliver func(context.Context, consumer.Message)) error {
	var unsettled sync.WaitGroup
	again := make(chan consumer.Message, 1000)
	h.mu.Lock()
	for _, m := range h.waiting {
		again <- m
	}
	h.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			unsettled.Wait()
			return nil
		case m := <-again:
			unsettled.Add(1)
			m.Settler = settler{held: h, id: m.ID, settled: func(acked bool) {
				defer unsettled.Done()
				if !acked {
					time.AfterFunc(time.Second, func() { again <- m })
				}
			}}
			go deliver(ctx, m)
		}
	}
}

func (h held) DeadLetter(_ context.Context, letter consumer.DeadLetter) error {
	return h.process.Effect("publish a dead letter", func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.letters = append(h.letters, letter)
		return nil
	})
}

type settler struct {
	held
	id      string
	settled func(acked bool)
}

func (s settler) Nack() { s.settled(false) }

func (s settler) Ack() {
	_ = s.process.Effect("acknowledge "+s.id, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waiting = slices.DeleteFunc(s.waiting, func(m consumer.Message) bool { return m.ID == s.id })
		return nil
	})
	s.settled(true)
	s.mu.Lock()
	over := len(s.waiting) == 0
	s.mu.Unlock()
	if over {
		s.done()
	}
}

// worker consumes a queue until it is empty, or the process is killed.
func (q *queue) worker(w *world, p *crashpoints.Process) {
	store := w.open(p)
	if store == nil || len(q.waiting) == 0 {
		return
	}
	ctx, done := context.WithCancel(p.Context())
	defer done()
	c, err := consumer.New(store, held{q, p, done}, consumer.Options{BatchChanges: 5, Accept: accept()})
	require.NoError(w, err)
	w.requireKilled(p, c.Run(ctx))
}

func accept() map[string][]events.Type {
	all := map[string][]events.Type{}
	for _, t := range events.PublishedTypes() {
		all[t.Subscription()] = []events.Type{t}
	}
	return all
}

// claimed is a claim that was answered yes before.
func (w *world) claimed(tenant, id string) {
	created, err := w.truth.Claim(w.Context(), tenant, registry.Resource{Kind: registry.Thread, ID: id})
	require.NoError(w, err)
	require.True(w, created)
}

// Each type of event, in each way that it can meet what is there.
func TestAWorkerThatIsKilledAtAnyPointAppliesEachEventOnceAfterAll(t *testing.T) {
	for name, c := range map[string]struct {
		before  []event
		claimed map[string]string // tenant by thread
		events  []event
		refused map[string]events.Reason
	}{
		"a thread":                   {events: []event{thread(1, "t_a", "a")}},
		"a canvas":                   {events: []event{canvas(1, "t_a", "a")}},
		"many in one batch":          {events: threads("t_a", 12)},
		"twice in a row":             {events: []event{thread(1, "t_a", "a"), thread(1, "t_a", "a"), thread(1, "t_a", "a")}},
		"of what is claimed":         {claimed: map[string]string{"a": "t_a"}, events: []event{thread(1, "t_a", "a")}},
		"of what another has":        {before: []event{thread(1, "t_b", "a")}, events: []event{thread(2, "t_a", "a")}, refused: map[string]events.Reason{"m0": events.Conflict}},
		"of what another claimed":    {claimed: map[string]string{"a": "t_b"}, events: []event{thread(1, "t_a", "a")}, refused: map[string]events.Reason{"m0": events.Conflict}},
		"an older one displaces":     {before: []event{thread(2, "t_b", "a")}, events: []event{thread(1, "t_a", "a")}},
		"moves before the creation":  {events: []event{moved(5, "m", "t_a", "t_b", "a"), thread(1, "t_a", "a")}},
		"resources move":             {before: threads("t_a", 3), events: []event{moved(9, "m", "t_a", "t_b", "th-t_a-0", "th-t_a-1", "th-t_a-2")}},
		"resources that are missing": {before: threads("t_a", 1), events: []event{moved(9, "m", "t_a", "t_b", "th-t_a-0", "x", "y")}},
		"more than a batch moves":    {before: threads("t_a", 8), events: []event{moved(9, "m", "t_a", "t_b", "th-t_a-0", "th-t_a-1", "th-t_a-2", "th-t_a-3", "th-t_a-4", "th-t_a-5", "th-t_a-6", "th-t_a-7")}},
		"a tenant moves":             {before: threads("t_a", 3), events: []event{moved(9, "m", "t_a", "t_b")}},
		"tenants move in a circle":   {before: threads("t_a", 2), events: []event{moved(9, "1", "t_a", "t_b"), moved(10, "2", "t_b", "t_c"), moved(11, "3", "t_c", "t_a")}},
		"a tenant moves twice":       {before: append(threads("t_a", 1), moved(9, "m", "t_a", "t_b")), events: []event{moved(9, "m", "t_a", "t_b")}},
		"a name is used twice":       {before: append(threads("t_a", 1), moved(9, "m", "t_a", "t_b")), events: []event{moved(10, "m", "t_a", "t_c")}, refused: map[string]events.Reason{"m0": events.Conflict}},
		"an earlier one of the name": {before: append(threads("t_a", 1), moved(9, "m", "t_a", "t_b")), events: []event{moved(8, "m", "t_a", "t_c")}},
		"what is refused":            {events: []event{moved(1, "m", "t_a", "t_a"), thread(1, "T", "a"), thread(1, "t_a", "ok")}, refused: map[string]events.Reason{"m0": events.Schema, "m1": events.Schema}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.refused == nil {
				c.refused = map[string]events.Reason{}
			}
			var q *queue
			points := scenario{
				before: func(w *world) {
					w.apply(changesOf(t, c.before...)...)
					w.rewrite(crashpoints.New(crashpoints.Never))
					for id, tenant := range c.claimed {
						w.claimed(tenant, id)
					}
					q = newQueue(t, c.events...)
				},
				do:    func(w *world, p *crashpoints.Process) { q.worker(w, p) },
				holds: func(w *world) { q.requireSettled(w.T, c.refused) },
			}.run(t)
			require.GreaterOrEqual(t, points, 2*len(c.events), "an acknowledgement of each, at least")
			t.Logf("%d points", points)
		})
	}
}
