package replay

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// panicking is a store with a defect that one thread brings to light.
type panicking struct{ thread string }

func (p panicking) Apply(_ context.Context, changes []ownership.Change) []ownership.Outcome {
	outcomes := make([]ownership.Outcome, len(changes))
	for i, c := range changes {
		if c.Resource.ID == p.thread {
			panic("index out of range")
		}
		outcomes[i].Kind = ownership.Applied
	}
	return outcomes
}

func TestAPanicRefusesTheLineThatCausesItAlone(t *testing.T) {
	line := func(thread string) string {
		return `{"specversion":"1.0","type":"nexus.thread.created.v1","source":"//n","id":"` + thread + `","time":"2024-01-01T00:00:00Z","data":{"tenant_id":"t_a","thread_id":"` + thread + `"}}` + "\n"
	}
	lines, err := archive.Open([]string{"-"}, strings.NewReader(line("good")+line("undecodable")+line("bad")+line("other")))
	require.NoError(t, err)
	var refused []Refusal
	r := newReplay(panicking{thread: "bad"}, Options{Refused: func(r Refusal) error { refused = append(refused, r); return nil }})
	decode := r.decodeLine
	r.decodeLine = func(text []byte, notAfter time.Time) (events.Event, error) {
		if strings.Contains(string(text), "undecodable") {
			panic("nil map")
		}
		return decode(text, notAfter)
	}
	counts, err := r.run(t.Context(), lines)
	require.NoError(t, err)
	require.Equal(t, 2, counts.Of(handlers.Applied))
	require.Len(t, refused, 2)
	for i, want := range []struct {
		line   int
		detail string
	}{{2, "nil map"}, {3, "index out of range"}} {
		require.Equal(t, want.line, refused[i].Line)
		require.Equal(t, events.Panic, refused[i].Reason)
		require.Equal(t, want.detail, refused[i].Detail)
		require.NotEmpty(t, refused[i].Text)
	}
}
