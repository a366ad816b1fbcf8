package consumer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func TestEachOutcomeSettlesItsMessageAsTheTableSays(t *testing.T) {
	outcome := func(kind ownership.OutcomeKind) func(ownership.Change) ownership.Outcome {
		return func(ownership.Change) ownership.Outcome {
			return ownership.Outcome{Kind: kind, Detail: "thread/th_1 is owned by t_b"}
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
		"a duplicate is acked":        {good, each(outcome(ownership.Duplicate)), true, ""},
		"inapplicable is acked":       {good, each(outcome(ownership.Inapplicable)), true, ""},
		"a conflict is dead-lettered": {good, each(outcome(ownership.Conflict)), true, events.Conflict},
		"a full history is too":       {good, each(outcome(ownership.HistoryFull)), true, events.HistoryFull},
		"a store that is down: nack":  {good, each(down), false, ""},
		"an unknown outcome: nack":    {good, each(outcome("new")), false, ""},
		"malformed is refused":        {Message{Data: []byte("?")}, each(applied), true, events.Malformed},
		"bad data is refused":         {created("T", "th_1"), each(applied), true, events.Schema},
		"unknown types are refused":   {message("nexus.thread.archived.v1", `{}`), each(applied), true, events.UnknownType},
		"a panicking store: refused": {good, each(func(ownership.Change) ownership.Outcome {
			panic("defect")
		}), true, events.Panic},
		"a store that miscounts: nack": {good, &store{apply: func(context.Context, []ownership.Change) []ownership.Outcome {
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
