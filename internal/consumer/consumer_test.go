package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func TestAnyEndOfReceivingOtherThanADrainIsAnError(t *testing.T) {
	for name, broken := range map[string]error{"with an error": errors.New("permission denied"), "without": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLine()
				c, err := New(each(applied), l, Options{})
				require.NoError(t, err)
				l.broken <- broken
				err = c.Run(t.Context())
				require.ErrorContains(t, err, "receive: ")
				if broken != nil {
					require.ErrorIs(t, err, broken)
				}
				require.Error(t, c.Ready())
			})
		})
	}
}

func TestWhatIsMissingAtTheStartIsAnErrorThatNamesIt(t *testing.T) {
	l := newLine()
	l.check = errors.New("subscription x does not exist")
	c, err := New(each(applied), l, Options{})
	require.NoError(t, err)
	require.EqualError(t, c.Run(t.Context()), "start consuming: subscription x does not exist")
	require.ErrorContains(t, c.Run(t.Context()), "Run was called before")
}

func TestMemoryIsBoundedWhateverTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		gate := make(chan struct{})
		s := &store{apply: func(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
			n := now.Add(int64(len(changes)))
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			<-gate
			now.Add(-int64(len(changes)))
			return each(applied).apply(ctx, changes)
		}}
		l := newLine()
		c, err := New(s, l, Options{MaxOutstandingMessages: 50, MaxOutstandingBytes: 1 << 20, BatchChanges: 10, Appliers: 100})
		require.NoError(t, err)
		decoded := atomic.Int64{}
		decode := c.decode
		c.decode = func(r envelope.Rules, a map[string]string, data []byte) (events.Event, error) {
			decoded.Add(1)
			return decode(r, a, data)
		}
		run(t, c)
		var receipts []*receipt
		for i := range 1000 {
			receipts = append(receipts, l.send(created("t_a", fmt.Sprintf("th_%d", i))))
		}
		time.Sleep(time.Second)
		require.EqualValues(t, 50, decoded.Load(), "admitted more than MaxOutstandingMessages")
		close(gate)
		for _, r := range receipts {
			require.True(t, r.wait())
		}
		require.LessOrEqual(t, most.Load(), int64(50))
	})
}

func TestBytesInFlightAreBoundedAndAMessageLargerThanTheBoundStillPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := held(gate)
		l := newLine()
		c, _ := running(t, s, l, Options{MaxOutstandingBytes: 1000})
		small := created("t_a", "small")
		large := created("t_a", "large")
		large.Data = append(large.Data, strings.Repeat(" ", 5000)...)
		receipts := []*receipt{l.send(large)}
		synctest.Wait()
		receipts = append(receipts, l.send(small))
		synctest.Wait()
		require.EqualValues(t, 2, c.progress.outstandingNow())
		require.False(t, c.admission.bytes.TryAcquire(1), "admitted beside a message that fills the bound")
		close(gate)
		for _, r := range receipts {
			require.True(t, r.wait())
		}
		require.True(t, c.admission.bytes.TryAcquire(1000), "bytes were not given back")
	})
}

func TestEventsWaitOnceHalfOfWhatMayBeInHandIs(t *testing.T) {
	large := created("t_a", "large")
	large.Data = append(large.Data, strings.Repeat(" ", 600)...)
	for name, test := range map[string]struct {
		options Options
		few     []Message // of which there may be more
		more    Message
	}{
		"messages": {Options{MaxOutstandingMessages: 4}, []Message{created("t_a", "1"), created("t_a", "2")}, created("t_a", "3")},
		"bytes":    {Options{MaxOutstandingBytes: 1000}, []Message{created("t_a", "1")}, large},
		"moves":    {Options{MaxOutstandingMessages: 4}, []Message{tenantMoved("t_a", "t_b"), tenantMoved("t_b", "t_c")}, tenantMoved("t_c", "t_d")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				s := held(gate)
				l := newLine()
				c, _ := running(t, s, l, test.options)
				require.False(t, c.Backlogged())
				var receipts []*receipt
				for _, m := range test.few {
					receipts = append(receipts, l.send(m))
				}
				synctest.Wait()
				require.False(t, c.Backlogged())
				receipts = append(receipts, l.send(test.more))
				synctest.Wait()
				require.True(t, c.Backlogged())
				close(gate)
				for _, r := range receipts {
					require.True(t, r.wait())
				}
				require.False(t, c.Backlogged())
			})
		})
	}
}

func TestReadyFailsWhereThereIsWorkAndNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		s := each(func(c ownership.Change) ownership.Outcome {
			if broken.Load() {
				return down(c)
			}
			return applied(c)
		})
		l := newLine()
		c, err := New(s, l, Options{})
		require.NoError(t, err)
		require.EqualError(t, c.Ready(), "not receiving yet")
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = c.Run(ctx) }()
		synctest.Wait()
		require.NoError(t, c.Ready())

		time.Sleep(time.Hour)
		require.NoError(t, c.Ready(), "idle is ready")
		require.True(t, l.send(created("t_a", "th_1")).wait())

		broken.Store(true)
		started := time.Now()
		for time.Since(started) < 40*time.Second { // nacked, delivered again, nacked …
			require.False(t, l.send(created("t_a", "th_1")).wait())
		}
		require.ErrorContains(t, c.Ready(), "no message acknowledged for ")

		broken.Store(false)
		require.True(t, l.send(created("t_a", "th_1")).wait())
		synctest.Wait()
		require.NoError(t, c.Ready(), "recovered")

		broken.Store(true)
		require.False(t, l.send(created("t_a", "th_1")).wait())
		time.Sleep(2 * time.Minute)
		require.NoError(t, c.Ready(), "what was nacked has gone to another worker")
		cancel()
	})
}

func TestEveryMessageIsSettledOnceWhateverHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		var dice = make(chan int)
		go func() {
			for {
				select {
				case dice <- random.IntN(100):
				case <-t.Context().Done():
					return
				}
			}
		}()
		s := &store{apply: func(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
			time.Sleep(time.Duration(<-dice) * time.Millisecond)
			if <-dice < 5 {
				panic("defect")
			}
			return each(func(c ownership.Change) ownership.Outcome {
				switch d := <-dice; {
				case d < 20:
					return down(c)
				case d < 30:
					return ownership.Outcome{Kind: ownership.Conflict}
				}
				return applied(c)
			}).apply(ctx, changes)
		}}
		l := newLine()
		l.bury = func(context.Context, DeadLetter) error {
			if <-dice < 30 {
				return errors.New("unavailable")
			}
			return nil
		}
		c, stop := running(t, s, l, Options{BatchChanges: 20, MaxOutstandingMessages: 100, DrainTimeout: 100 * time.Millisecond})
		var receipts []*receipt
		for i := range 2000 {
			if <-dice < 30 {
				receipts = append(receipts, l.send(tenantMoved(fmt.Sprintf("t_%d", i), "t_a")))
			} else {
				receipts = append(receipts, l.send(created("t_a", fmt.Sprintf("th_%d", i))))
			}
		}
		for _, r := range receipts[:1000] {
			r.wait()
		}
		require.NoError(t, stop())
		require.Zero(t, c.progress.outstandingNow())
		require.True(t, c.admission.messages.TryAcquire(100), "room was not given back")
		require.True(t, c.ledgerAdmission.messages.TryAcquire(100), "room was not given back")
	})
}

func TestAllFaultsOfTheOptionsAreReportedAtOnce(t *testing.T) {
	_, err := New(each(applied), newLine(), Options{Appliers: -1, Linger: -1, DrainTimeout: -1})
	for _, fault := range []string{"appliers", "linger", "drain timeout"} {
		require.ErrorContains(t, err, fault+" must not be negative")
	}
}
