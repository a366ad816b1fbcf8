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
	"github.com/northstar-engines/realtime-registry/registry"
)

func TestEachOutcomeSettlesItsMessageAsTheTableSays(t *testing.T) {
	outcome := func(kind registry.OutcomeKind) func(registry.Change) registry.Outcome {
		return func(registry.Change) registry.Outcome {
			return registry.Outcome{Kind: kind, Detail: "thread/th_1 is owned by t_b"}
		}
	}
	good := created("t_a", "th_1")
	for name, c := range map[string]struct {
		message Message
		store   *store
		acked   bool
		reason  events.Reason // of the dead letter; "": there is none
	}{
		"applied is acked":            {good, each(applied), true, ""},
		"a duplicate is acked":        {good, each(outcome(registry.Duplicate)), true, ""},
		"inapplicable is acked":       {good, each(outcome(registry.Inapplicable)), true, ""},
		"a conflict is dead-lettered": {good, each(outcome(registry.Conflict)), true, events.Conflict},
		"a full history is too":       {good, each(outcome(registry.HistoryFull)), true, events.HistoryFull},
		"a store that is down: nack":  {good, each(down), false, ""},
		"an unknown outcome: nack":    {good, each(outcome("new")), false, ""},
		"malformed is refused":        {Message{Data: []byte("?")}, each(applied), true, events.Malformed},
		"bad data is refused":         {created("T", "th_1"), each(applied), true, events.Schema},
		"unknown types are refused":   {message("nexus.thread.deleted.v1", `{}`), each(applied), true, events.UnknownType},
		"a panicking store: refused": {good, each(func(registry.Change) registry.Outcome {
			panic("defect")
		}), true, events.Panic},
		"a store that miscounts: nack": {good, &store{apply: func(context.Context, []registry.Change) []registry.Outcome {
			return nil
		}}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLine()
				running(t, c.store, l, Options{})
				m := c.message
				m.PublishTime = time.Now()
				if m.Attributes != nil {
					m.Attributes["ce-time"] = time.Now().Format(time.RFC3339Nano)
				}

				require.Equal(t, c.acked, l.send(m).wait())

				letters := l.deadLetters()
				if c.reason == "" {
					require.Empty(t, letters)
					return
				}
				require.Len(t, letters, 1)
				require.Equal(t, string(c.reason), letters[0].Attributes[ReasonAttribute])
				require.Equal(t, m.Data, letters[0].Data)
			})
		})
	}
}

func TestAnEventFromTheFutureIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		running(t, each(applied), l, Options{MaxClockSkew: time.Minute})
		early, late := created("t_a", "th_1"), created("t_a", "th_2")
		early.Attributes["ce-time"] = early.PublishTime.Add(59 * time.Second).Format(time.RFC3339Nano)
		late.Attributes["ce-time"] = late.PublishTime.Add(61 * time.Second).Format(time.RFC3339Nano)

		require.True(t, l.send(early).wait())
		require.Empty(t, l.deadLetters())
		require.True(t, l.send(late).wait())
		require.Equal(t, string(events.FromFuture), l.deadLetters()[0].Attributes[ReasonAttribute])
	})
}

func TestARefusedMessageIsAckedOnlyAfterItsDeadLetterWasConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		confirm := make(chan error)
		l.bury = func(context.Context, DeadLetter) error { return <-confirm }
		running(t, each(applied), l, Options{})

		r := l.send(Message{Data: []byte("?")})
		synctest.Wait()
		select {
		case <-r.done:
			t.Fatal("settled before the dead letter was confirmed")
		default:
		}
		confirm <- nil
		require.True(t, r.wait())

		r = l.send(Message{Data: []byte("?")})
		confirm <- errors.New("no such topic")
		require.False(t, r.wait(), "acked without a dead letter")
	})
}

func TestADeadLetterThatIsNeverConfirmedIsGivenUpAndItsMessageNacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.bury = func(ctx context.Context, _ DeadLetter) error { <-ctx.Done(); return ctx.Err() }
		running(t, each(applied), l, Options{DeadLetterTimeout: 15 * time.Second})
		started := time.Now()
		require.False(t, l.send(Message{Data: []byte("?")}).wait())
		require.Equal(t, 15*time.Second, time.Since(started))
	})
}

func TestOnlyWhatFailedIsTriedAgainAndTheRestDoesNotWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failures atomic.Int32
		failures.Store(6)
		s := each(func(c registry.Change) registry.Outcome {
			if c.Resource.ID == "bad" && failures.Add(-1) >= 0 {
				return down(c)
			}
			return applied(c)
		})
		l := newLine()
		good, bad := l.send(created("t_a", "good")), l.send(created("t_a", "bad"))
		moved := l.send(message(string(events.TenantMovedType),
			`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"x"},{"kind":"thread","id":"y"}]}`))
		partly := l.send(message(string(events.TenantMovedType),
			`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"z"},{"kind":"thread","id":"bad"}]}`))
		started := time.Now()
		running(t, s, l, Options{})

		require.True(t, good.wait())
		require.True(t, moved.wait())
		require.Less(t, time.Since(started), 20*time.Millisecond)
		require.True(t, bad.wait())
		require.True(t, partly.wait())
		require.Greater(t, bad.at.Sub(started), 50*time.Millisecond, "no backoff")

		tried := map[string]int{}
		for _, changes := range s.attempts() {
			for _, c := range changes {
				tried[c.Resource.ID]++
			}
		}
		require.Equal(t, map[string]int{"good": 1, "bad": 8, "x": 1, "y": 1, "z": 1}, tried)
	})
}

func TestAMessageIsNackedWhenTheRetryBudgetIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := each(down)
		l := newLine()
		running(t, s, l, Options{RetryBudget: 10 * time.Second})
		started := time.Now()
		require.False(t, l.send(created("t_a", "th_1")).wait())
		took := time.Since(started)
		require.LessOrEqual(t, took, 10*time.Second)
		require.Greater(t, took, 5*time.Second)
		attempts := len(s.attempts())
		require.Greater(t, attempts, 4, "no retries")
		require.Less(t, attempts, 30, "no backoff")
		require.Empty(t, l.deadLetters(), "an outage must never dead-letter good events")
	})
}

func TestWhatTheStoreDoesNotUnderstandIsNackedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := each(func(c registry.Change) registry.Outcome {
			if c.Resource.ID == "th_new" {
				return registry.Outcome{Kind: registry.Failed, Err: registry.TooNew("thread__th_new", errors.New("its format is 9"))}
			}
			return registry.Outcome{Kind: registry.Applied}
		})
		l := newLine()
		running(t, s, l, Options{RetryBudget: 10 * time.Second})
		started := time.Now()
		tooNew, other := l.send(created("t_a", "th_new")), l.send(created("t_a", "th_1"))
		require.False(t, tooNew.wait(), "another worker may understand it")
		require.True(t, other.wait())
		require.Less(t, time.Since(started), time.Second)
		require.Empty(t, l.deadLetters())
	})
}

func TestEachAttemptHasADeadlineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{apply: func(ctx context.Context, changes []registry.Change) []registry.Outcome {
			<-ctx.Done() // a store that hangs
			return []registry.Outcome{{Kind: registry.Failed, Err: fmt.Errorf("%w: %w", registry.ErrUnavailable, ctx.Err())}}
		}}
		l := newLine()
		running(t, s, l, Options{CommitTimeout: 4 * time.Second, RetryBudget: 10 * time.Second})
		started := time.Now()
		require.False(t, l.send(created("t_a", "th_1")).wait())
		require.LessOrEqual(t, time.Since(started), 14*time.Second)
		require.GreaterOrEqual(t, len(s.attempts()), 2)
	})
}

func TestABatchThatFailsDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := each(func(c registry.Change) registry.Outcome {
			if strings.HasPrefix(c.Resource.ID, "bad") {
				return down(c)
			}
			return applied(c)
		})
		l := newLine()
		running(t, s, l, Options{Appliers: 1, BatchChanges: 1})
		bad := []*receipt{l.send(created("t_a", "bad1")), l.send(created("t_a", "bad2"))}
		synctest.Wait()
		started := time.Now()
		require.True(t, l.send(created("t_a", "good")).wait())
		require.Less(t, time.Since(started), 10*time.Millisecond)
		for _, r := range bad {
			require.False(t, r.wait())
		}
	})
}

func TestAPanicRefusesOnlyTheMessageThatCausedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := each(func(c registry.Change) registry.Outcome {
			if c.Resource.ID == "culprit" {
				panic("index out of range")
			}
			return applied(c)
		})
		l := newLine()
		var receipts []*receipt
		for i := range 20 {
			receipts = append(receipts, l.send(created("t_a", fmt.Sprintf("th_%d", i))))
		}
		receipts = append(receipts, l.send(created("t_a", "culprit")))
		c, err := New(s, l, Options{})
		require.NoError(t, err)
		decode := c.decode
		c.decode = func(r events.Rules, a map[string]string, data []byte) (events.Event, error) {
			if string(data) == "boom" {
				panic("nil map")
			}
			return decode(r, a, data)
		}
		receipts = append(receipts, l.send(Message{Data: []byte("boom")}))
		run(t, c)
		for _, r := range receipts {
			require.True(t, r.wait())
		}
		letters := l.deadLetters()
		require.Len(t, letters, 2)
		details := []string{letters[0].Attributes[DetailAttribute], letters[1].Attributes[DetailAttribute]}
		require.ElementsMatch(t, []string{"index out of range", "nil map"}, details)
		for _, letter := range letters {
			require.Equal(t, string(events.Panic), letter.Attributes[ReasonAttribute])
		}
	})
}

func TestASingleEventDoesNotWaitAndManyAreFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{apply: func(_ context.Context, changes []registry.Change) []registry.Outcome {
			time.Sleep(40 * time.Millisecond) // a commit takes its time
			return each(applied).apply(context.Background(), changes)
		}}
		l := newLine()
		running(t, s, l, Options{BatchChanges: 100, Linger: 5 * time.Millisecond})
		started := time.Now()
		require.True(t, l.send(created("t_a", "alone")).wait())
		require.Equal(t, 40*time.Millisecond, time.Since(started), "it lingered though nothing was in flight")

		first := l.send(created("t_a", "first"))
		synctest.Wait() // in flight
		sent := time.Now()
		second := l.send(created("t_a", "second"))
		time.Sleep(4 * time.Millisecond)
		third := l.send(created("t_a", "third"))
		require.True(t, first.wait() && second.wait() && third.wait())
		require.Equal(t, 45*time.Millisecond, third.at.Sub(sent), "linger, then the commit")
		require.Equal(t, second.at, third.at)

		var receipts []*receipt
		for i := range 250 {
			receipts = append(receipts, l.send(created("t_a", fmt.Sprintf("th_%d", i))))
		}
		for _, r := range receipts {
			require.True(t, r.wait())
		}
		sizes := 0
		for _, changes := range s.attempts() {
			require.LessOrEqual(t, len(changes), 100)
			sizes = max(sizes, len(changes))
		}
		require.Equal(t, 100, sizes)
	})
}

func TestBatchesAreBoundedByBytesAndByChangesOfMovesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{apply: func(ctx context.Context, changes []registry.Change) []registry.Outcome {
			time.Sleep(time.Second) // so that batches fill in the meantime
			return each(applied).apply(ctx, changes)
		}}
		l := newLine()
		move := func(n int) Message {
			refs := make([]string, n)
			for i := range refs {
				refs[i] = fmt.Sprintf(`{"kind":"thread","id":"th_%d_%d"}`, n, i)
			}
			return message(string(events.TenantMovedType),
				`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[`+strings.Join(refs, ",")+`]}`)
		}
		receipts := []*receipt{l.send(move(300)), l.send(created("t_a", "small"))}
		for range 6 {
			receipts = append(receipts, l.send(move(60)))
		}
		big := created("t_a", "big")
		big.Data = []byte(strings.TrimSuffix(string(big.Data), "}") + `,"text":"` + strings.Repeat("x", 200_000) + `"}`)
		for range 4 {
			receipts = append(receipts, l.send(big))
		}
		running(t, s, l, Options{BatchChanges: 100, BatchBytes: 500_000, Appliers: 1, Linger: time.Second})
		for _, r := range receipts {
			require.True(t, r.wait())
		}
		require.Empty(t, l.deadLetters())
		for _, changes := range s.attempts() {
			bigs := 0
			for _, c := range changes {
				if c.Resource.ID == "big" {
					bigs++
				}
			}
			require.LessOrEqual(t, bigs, 2)
			if len(changes) > 100 {
				require.Len(t, changes, 300, "only a message that is too big by itself may exceed the bound")
			}
		}
	})
}

func TestTheDrainSettlesWhatWasAdmittedAndCancelsNoCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{apply: func(ctx context.Context, changes []registry.Change) []registry.Outcome {
			time.Sleep(3 * time.Second)
			if ctx.Err() != nil {
				panic("the commit was cancelled")
			}
			return each(applied).apply(ctx, changes)
		}}
		l := newLine()
		c, stop := running(t, s, l, Options{})
		r := l.send(created("t_a", "th_1"))
		synctest.Wait()
		started := time.Now()
		require.NoError(t, stop())
		require.True(t, r.wait())
		require.Equal(t, 3*time.Second, time.Since(started))
		require.Empty(t, l.deadLetters())
		require.EqualError(t, c.Ready(), "draining")
	})
}

func TestWhatADrainCannotSettleInTimeIsNackedAndNeverDeadLettered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var cancelled atomic.Bool
		s := &store{apply: func(ctx context.Context, changes []registry.Change) []registry.Outcome {
			<-hang
			cancelled.Store(cancelled.Load() || ctx.Err() != nil)
			return each(applied).apply(ctx, changes)
		}}
		l := newLine()
		l.bury = func(ctx context.Context, _ DeadLetter) error { <-ctx.Done(); return ctx.Err() }
		_, stop := running(t, s, l, Options{
			DrainTimeout: 20 * time.Second, DeadLetterTimeout: time.Hour, CommitTimeout: time.Hour,
			Appliers: 2, BatchChanges: 2, MaxOutstandingMessages: 12,
		})
		var receipts []*receipt
		for i := range 20 { // applying, in a batch, queued, and waiting for admission
			receipts = append(receipts, l.send(created("t_a", fmt.Sprintf("th_%d", i))))
			synctest.Wait()
		}
		receipts = append(receipts, l.send(Message{Data: []byte("?")})) // waiting for admission, too
		synctest.Wait()

		started := time.Now()
		require.NoError(t, stop())
		require.LessOrEqual(t, time.Since(started), 20*time.Second+killGrace)
		for _, r := range receipts {
			require.False(t, r.wait())
		}
		require.Empty(t, l.deadLetters())
		close(hang)
		synctest.Wait()
		require.False(t, cancelled.Load(), "a commit in flight was cancelled")
	})
}

func TestADeadLetterInFlightAtTheEndOfADrainIsNacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.bury = func(ctx context.Context, _ DeadLetter) error { <-ctx.Done(); return ctx.Err() }
		_, stop := running(t, each(applied), l, Options{DrainTimeout: 2 * time.Second, DeadLetterTimeout: time.Hour})
		r := l.send(Message{Data: []byte("?")})
		synctest.Wait()
		started := time.Now()
		require.NoError(t, stop())
		require.False(t, r.wait())
		require.Equal(t, 2*time.Second, r.at.Sub(started))
	})
}

func TestTheEndOfADrainWaitsALittleForCommitsWhoseMessagesWereNacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := each(func(c registry.Change) registry.Outcome {
			time.Sleep(22 * time.Second)
			return applied(c)
		})
		l := newLine()
		_, stop := running(t, s, l, Options{DrainTimeout: 20 * time.Second, CommitTimeout: time.Minute})
		r := l.send(created("t_a", "th_1"))
		synctest.Wait()
		started := time.Now()
		require.NoError(t, stop())
		require.False(t, r.wait())
		require.Equal(t, 22*time.Second, time.Since(started), "the end of the process would have cut the commit off")
	})
}

func TestRetriesEndWithTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		_, stop := running(t, each(down), l, Options{RetryBudget: time.Hour, DrainTimeout: 5 * time.Second})
		r := l.send(created("t_a", "th_1"))
		time.Sleep(time.Minute)
		started := time.Now()
		require.NoError(t, stop())
		require.False(t, r.wait())
		require.Equal(t, 5*time.Second, time.Since(started))
	})
}

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
		s := &store{apply: func(ctx context.Context, changes []registry.Change) []registry.Outcome {
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
		c.decode = func(r events.Rules, a map[string]string, data []byte) (events.Event, error) {
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
		s := &store{apply: func(ctx context.Context, changes []registry.Change) []registry.Outcome {
			<-gate
			return each(applied).apply(ctx, changes)
		}}
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

func TestReadyFailsWhereThereIsWorkAndNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		s := each(func(c registry.Change) registry.Outcome {
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
		s := &store{apply: func(ctx context.Context, changes []registry.Change) []registry.Outcome {
			time.Sleep(time.Duration(<-dice) * time.Millisecond)
			if <-dice < 5 {
				panic("defect")
			}
			return each(func(c registry.Change) registry.Outcome {
				switch d := <-dice; {
				case d < 20:
					return down(c)
				case d < 30:
					return registry.Outcome{Kind: registry.Conflict}
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
