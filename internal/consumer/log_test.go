package consumer

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func TestAFloodOfBadMessagesDoesNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLine()
		running(t, each(func(ownership.Change) ownership.Outcome {
			return ownership.Outcome{Kind: ownership.Conflict, Detail: "owned by t_b"}
		}), l, Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
		flood := make([]*receipt, 1000)
		for i := range flood {
			flood[i] = l.send(Message{ID: "bad", Data: []byte("?")})
		}
		for _, r := range flood {
			r.wait()
		}
		time.Sleep(time.Second)
		l.send(Message{ID: "last", Data: []byte("?")}).wait()
		synctest.Wait()
		l.send(created("t_a", "th_1")).wait()
		synctest.Wait()

		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		require.Len(t, lines, logBurst+2)
		require.Contains(t, lines[logBurst], "message_id=last")
		require.Contains(t, lines[logBurst], "suppressed=980")
		require.Contains(t, lines[logBurst+1], "reason=conflict", "one kind of line has drowned another")
		require.Contains(t, lines[logBurst+1], "event_type=nexus.thread.created.v1 event_source=//nexus/test event_id=e-")
	})
}

// beforeAcks is a line that calls before ahead of each ack.
type beforeAcks struct {
	*line
	before func()
}

func (b beforeAcks) Receive(ctx context.Context, limits Limits, deliver func(context.Context, Message)) error {
	return b.line.Receive(ctx, limits, func(ctx context.Context, m Message) {
		m.Settler = beforeAck{m.Settler, b.before}
		deliver(ctx, m)
	})
}

type beforeAck struct {
	Settler
	before func()
}

func (b beforeAck) Ack() {
	b.before()
	b.Settler.Ack()
}

// A process may be killed between the two, and what is acked does not come again.
func TestARefusalIsLoggedBeforeItsMessageIsAcked(t *testing.T) {
	var out bytes.Buffer
	var logged string
	l := newLine()
	c, err := New(each(applied), beforeAcks{l, func() { logged = out.String() }}, Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	require.NoError(t, err)
	run(t, c)
	require.True(t, l.send(Message{ID: "bad", Data: []byte("?")}).wait())
	require.Contains(t, logged, "message_id=bad")
}
