package events_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

// FuzzDecode holds that any attributes and any bytes end in an event that
// encodes to itself, or in a refusal with a reason and a detail. Attributes are
// given as lines of "name: value".
func FuzzDecode(f *testing.F) {
	for _, kind := range []string{"valid", "invalid"} {
		for _, v := range vectors(f, kind) {
			if len(v.body()) > 4<<10 {
				continue // the fuzzer would spend its time on making it smaller
			}
			var lines []string
			for name, value := range v.Attributes {
				lines = append(lines, name+": "+value)
			}
			slices.Sort(lines)
			f.Add(strings.Join(lines, "\n"), v.body())
		}
	}
	notAfter := time.Date(2026, 3, 1, 12, 5, 1, 0, time.UTC)
	f.Fuzz(func(t *testing.T, lines string, data []byte) {
		attributes := map[string]string{}
		for line := range strings.SplitSeq(lines, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				attributes[name] = value
			}
		}
		event, err := events.Decode(attributes, data, notAfter)
		requireEventOrRefusal(t, event, err, notAfter)
		event, err = archived.Decode(data, notAfter)
		requireEventOrRefusal(t, event, err, notAfter)
	})
}

func requireEventOrRefusal(t *testing.T, event events.Event, err error, notAfter time.Time) {
	t.Helper()
	if err != nil {
		requireRefusal(t, err)
		return
	}
	require.False(t, event.Time.After(notAfter))
	requireRoundTrips(t, event)
}

// requireRefusal holds that the error is one that a dead letter can carry.
func requireRefusal(t *testing.T, err error) *events.Refusal {
	t.Helper()
	var refusal *events.Refusal
	require.True(t, errors.As(err, &refusal), "%v", err)
	reasons := envelope.Reasons()
	require.Contains(t, reasons[:slices.Index(reasons, envelope.Conflict)], refusal.Reason, "a reason of decoding")
	require.NotEmpty(t, refusal.Detail)
	require.LessOrEqual(t, len(refusal.Detail), envelope.MaxAttributeBytes)
	require.True(t, utf8.ValidString(refusal.Detail), "%q", refusal.Detail)
	return refusal
}
