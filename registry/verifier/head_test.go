package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	client "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// What the processes of this test agree on, and the verifier's promise.
const (
	agreedStaleness = 500 * time.Millisecond
	agreedDeadline  = 5 * time.Second
	promised        = time.Second
	tooLong         = 30 * time.Second // for a test to wait, on a busy machine
)

// shared is one registry that two processes have open, and its head.
type shared struct {
	writes, verifies ownership.Store
	setHead          func(field string, value int64)
}

func inMemory(*testing.T) shared {
	o := memregistry.Options{LedgerStaleness: agreedStaleness, CommitDeadline: agreedDeadline}
	store := memregistry.New()
	return shared{writes: store.Open(o), verifies: store.Open(o), setHead: storetest.Outside{DB: store.DB()}.SetHead}
}

func inFirestore(t *testing.T) shared {
	project := emulatortest.Firestore(t)
	open := func() ownership.Store {
		store, err := fsregistry.Open(t.Context(), fsregistry.Options{ProjectID: project.ID, ClientOptions: project.FirestoreOptions(),
			LedgerStaleness: agreedStaleness, CommitDeadline: agreedDeadline})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		return store
	}
	outsider, err := client.NewClient(t.Context(), project.ID, project.FirestoreOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { outsider.Close() })
	return shared{writes: open(), verifies: open(), setHead: func(field string, value int64) {
		head := outsider.Collection(fsregistry.LedgerCollection).Doc("head")
		require.EventuallyWithT(t, func(c *assert.CollectT) { // a busy emulator cancels calls of its own accord
			_, err := head.Update(t.Context(), []client.Update{{Path: field, Value: value}})
			assert.NoError(c, err)
		}, tooLong, time.Millisecond)
	}}
}

// Design §3: who must not take part any more stops certifying within MaxStaleness,
// and writing within S + D.
func TestWhoMustNotTakePartAnyMoreStopsInTime(t *testing.T) {
	for store, open := range map[string]func(*testing.T) shared{"memory": inMemory, "firestore": inFirestore} {
		for field, change := range map[string]struct {
			value, before int64
			reads         bool
		}{
			"min_reader":          {ownership.Format + 1, 1, false},
			"min_writer":          {ownership.Format + 1, 1, true},
			"ledger_staleness_ms": {agreedStaleness.Milliseconds() + 1, agreedStaleness.Milliseconds(), false},
			"commit_deadline_ms":  {agreedDeadline.Milliseconds() + 1, agreedDeadline.Milliseconds(), false},
		} {
			t.Run(store+", "+field, func(t *testing.T) {
				t.Parallel() // it mostly waits
				s := open(t)
				r := thread("th")
				claim(t, s.writes, "t_ann", r)
				v := newVerifier(t, s.verifies, verifier.Options{MaxStaleness: promised, MaxAge: verifier.Unbounded})
				require.Eventually(t, func() bool { return v.Verify(t.Context(), "t_ann", r) == nil && v.FromMemory("t_ann", r) },
					tooLong, time.Millisecond, "it certifies")
				watched := v.Watch(t.Context(), r)
				writing, stopped := make(chan struct{}), make(chan error, 1)
				go func() { stopped <- writeUntilRefused(s.writes, writing) }()
				<-writing

				s.setHead(field, change.value)
				changed := time.Now()
				if !change.reads {
					last := checkUntilRefused(t, v, r)
					require.LessOrEqual(t, last.Sub(changed), promised, "the last check that was allowed began")
					require.Eventually(t, func() bool { return closed(watched) }, tooLong, time.Millisecond, "what is watched is told")
				}
				require.ErrorIs(t, <-stopped, registry.ErrIncompatible)
				if change.reads {
					require.NoError(t, v.Verify(t.Context(), "t_ann", r), "who may read goes on")
					require.True(t, v.FromMemory("t_ann", r), "and certifies")
				}
				s.setHead(field, change.before)
				require.NoError(t, s.writes.Export(t.Context(), func(record ownership.Record, _ *ownership.Ledger) error {
					assert.LessOrEqual(t, record.UpdateTime.Sub(changed), agreedStaleness+agreedDeadline, "%s was written", record.Document)
					return nil
				}))
			})
		}
	}
}

// writeUntilRefused creates resources until the store says that it must not. It
// closes writing after the first.
func writeUntilRefused(s ownership.Store, writing chan<- struct{}) error {
	for n, began := 0, time.Now(); ; n++ {
		o := s.Apply(context.Background(), []ownership.Change{{Resource: thread(fmt.Sprint("n-", n)), Entry: ownership.Entry{
			Type: ownership.Created, Tenant: "t_ann", Version: ownership.Version{Time: time.Unix(1, 0), Source: "test", ID: fmt.Sprint(n)}}}})[0]
		if errors.Is(o.Err, registry.ErrIncompatible) {
			return o.Err
		}
		if n == 0 {
			close(writing)
		}
		if time.Since(began) > tooLong {
			return errors.New("it goes on writing")
		}
		time.Sleep(time.Millisecond)
	}
}

// checkUntilRefused asks until the verifier says that it must not answer, and
// returns when the last check began that was allowed.
func checkUntilRefused(t *testing.T, v *verifier.Verifier, r registry.Resource) (last time.Time) {
	for asked := time.Now(); ; {
		began := time.Now()
		switch err := v.Verify(t.Context(), "t_ann", r); {
		case err == nil:
			last = began
		case errors.Is(err, registry.ErrIncompatible):
			require.ErrorIs(t, err, registry.ErrUnavailable)
			return last
		}
		require.Less(t, time.Since(asked), tooLong, "it goes on answering")
		time.Sleep(time.Millisecond)
	}
}
