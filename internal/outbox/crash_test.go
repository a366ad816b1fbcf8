package outbox_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/outbox"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

// mortal is a process that dies at its n-th step, a call of the database or the
// publishing of an event: before it, or, if the answer is lost, after it.
type mortal struct {
	mu   sync.Mutex
	left int
	lost bool
	dead bool
}

var errDead = status.Error(codes.Unavailable, "this process is dead")

// step reports whether the process makes the step, and whether it lives to see the
// answer.
func (m *mortal) step() (made, answered bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return false, false
	}
	if m.left--; m.left > 0 {
		return true, true
	}
	m.dead = true
	return m.lost, false
}

func (m *mortal) around(_ *docdbtest.Call, do func() error) error {
	made, answered := m.step()
	var err error
	if made {
		err = do()
	}
	if !answered {
		return errDead
	}
	return err
}

// A process that claims, moves and retracts dies at each step, once before and once after
// it.
// Another one runs for some minutes. Then the log has all that is stored, and nothing
// else.
func TestTheLogHasWhatIsStoredAtWhicheverStepAProcessDies(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for n, survived := 1, false; !survived && !t.Failed(); n++ {
			t.Run(fmt.Sprint("step ", n, ", answer lost ", lost), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					survived = !dieAt(t, &mortal{left: n, lost: lost})
				})
			})
		}
	}
}

func dieAt(t *testing.T, m *mortal) (died bool) {
	db, _ := logging(t)
	log := &topic{}
	s, err := regstore.Open(t.Context(), docdbtest.Around(db, m.around), regstore.Options{LedgerRate: 1e6})
	if err == nil {
		dying := &topic{died: func() bool { made, _ := m.step(); return !made }}
		end := run(t, s, dying, outbox.Options{Holder: "a", Drain: time.Nanosecond})
		synctest.Wait()
		for i := range 3 {
			_, _ = s.Claim(t.Context(), "t_a", registry.Resource{Kind: registry.Thread, ID: fmt.Sprint(i)})
			s.Apply(t.Context(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: fmt.Sprint("m", i)}, "kim", "")})
			s.Apply(t.Context(), []ownership.Change{operatorsMove(registry.Resource{}, fmt.Sprint("whole", i)),
				operatorsMove(registry.Resource{Kind: registry.Thread, ID: fmt.Sprint(i)}, fmt.Sprint("named", i))})
			synctest.Wait()
		}
		end()
		log.ids = dying.ids
	}
	survivor := open(t, db)
	end := run(t, survivor, log, outbox.Options{Holder: "b"})
	time.Sleep(5 * time.Minute)
	end()
	require.Equal(t, storedIn(t, survivor), log.distinct())
	require.Zero(t, waiting(t, db))
	return m.dead
}

func operatorsMove(r registry.Resource, id string) ownership.Change {
	return ownership.Change{Resource: r, ToLog: true, Entry: ownership.Entry{
		Type: ownership.Moved, Version: ownership.Version{Time: time.Now(), Source: "//operator", ID: id}, From: "t_a", To: "t_b",
	}}
}

// storedIn are the ids of the events that say what is stored, all of which is in no topic.
func storedIn(t *testing.T, s *regstore.Store) (ids []string) {
	t.Helper()
	require.NoError(t, s.Export(t.Context(), func(r ownership.Record, _ *ownership.Ledger) error {
		for _, e := range handlers.Archive(r.Resource, r.History) {
			ids = append(ids, e.ID)
		}
		return nil
	}))
	moves, err := s.Moves(t.Context())
	require.NoError(t, err)
	for _, m := range moves {
		for _, e := range handlers.ArchiveMove(m) {
			ids = append(ids, e.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// A commit fails, whether for good, since another was faster, or so that nobody knows.
func TestNothingIsPublishedWhoseCommitFailed(t *testing.T) {
	for _, code := range []codes.Code{codes.Unavailable, codes.Aborted, codes.InvalidArgument} {
		t.Run(code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db, _ := logging(t)
				s := open(t, docdbtest.Around(db, func(c *docdbtest.Call, do func() error) error {
					if c.Method == "Commit" {
						return status.Error(code, "no")
					}
					return do()
				}))
				p := &topic{}
				defer run(t, s, p, outbox.Options{})()
				_, err := s.Claim(t.Context(), "t_a", registry.Resource{Kind: registry.Thread, ID: "1"})
				require.Error(t, err)
				for _, o := range s.Apply(t.Context(), []ownership.Change{
					ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m"}, "kim", ""),
					operatorsMove(registry.Resource{}, "whole"), operatorsMove(registry.Resource{Kind: registry.Thread, ID: "1"}, "named"),
				}) {
					require.Error(t, o.Err)
				}
				time.Sleep(10 * time.Minute)
				require.Empty(t, p.distinct())
			})
		})
	}
}

// A process is stopped for long between a read and the commit that rests on it. The sweeps
// that come meanwhile do not pass over what it would store.
func TestAProcessThatIsStoppedBeforeItsCommitStoresNothingBehindTheSweep(t *testing.T) {
	for name, change := range map[string]ownership.Change{
		"a move of a tenant":   operatorsMove(registry.Resource{}, "m"),
		"a move of a resource": operatorsMove(registry.Resource{Kind: registry.Thread, ID: "1"}, "m"),
		"a retraction":         ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m"}, "kim", ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db, s := logging(t)
				claim(t, s, "1")
				var stopped atomic.Bool
				slow := open(t, docdbtest.Around(db, func(c *docdbtest.Call, do func() error) error {
					err := do()
					if c.Method == "Get" && stopped.CompareAndSwap(true, false) {
						time.Sleep(10 * time.Minute)
					}
					return err
				}))
				log := &topic{}
				defer run(t, s, log, outbox.Options{})()
				synctest.Wait()
				stopped.Store(true)
				_ = slow.Apply(t.Context(), []ownership.Change{change})
				time.Sleep(10 * time.Minute)
				require.Equal(t, storedIn(t, s), log.distinct())
			})
		})
	}
}
