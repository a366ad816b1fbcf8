package events_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

// vector is a file of testdata: a message or a line, and what becomes of it.
type vector struct {
	About       string            `json:"about"`
	Line        bool              `json:"line"`       // a line of an archive; else a message
	Attributes  map[string]string `json:"attributes"` // of the message
	PublishTime time.Time         `json:"publish_time"`
	Data        string            `json:"data"`
	DataBase64  []byte            `json:"data_base64"` // in place of data
	Fill        int               `json:"fill"`        // %FILL% in data stands for so many x

	Event  json.RawMessage `json:"event"`  // of a valid one, in structured mode
	Reason events.Reason   `json:"reason"` // of an invalid one
	Detail string          `json:"detail"` // part of its detail
}

func (v vector) body() []byte {
	if v.DataBase64 != nil {
		return v.DataBase64
	}
	return []byte(strings.Replace(v.Data, "%FILL%", strings.Repeat("x", v.Fill), 1))
}

func (v vector) decode() (events.Event, error) {
	notAfter := v.PublishTime.Add(5 * time.Minute)
	if v.Line {
		return archived.Decode(v.body(), notAfter)
	}
	return events.Decode(v.Attributes, v.body(), notAfter)
}

func TestValidVectorsDecodeToTheirEvent(t *testing.T) {
	for name, v := range vectors(t, "valid") {
		t.Run(name, func(t *testing.T) {
			event, err := v.decode()
			require.NoError(t, err, v.About)
			line, err := json.Marshal(event)
			require.NoError(t, err)
			require.JSONEq(t, string(v.Event), string(line), v.About)
			requireRoundTrips(t, event)
		})
	}
}

func TestInvalidVectorsAreRefusedForTheirReason(t *testing.T) {
	for name, v := range vectors(t, "invalid") {
		t.Run(name, func(t *testing.T) {
			event, err := v.decode()
			require.Error(t, err, v.About)
			require.Zero(t, event)
			refusal := requireRefusal(t, err)
			require.Equal(t, v.Reason, refusal.Reason, "%s: %s", v.About, refusal.Detail)
			require.Contains(t, refusal.Detail, v.Detail, v.About)
		})
	}
}

func TestVectorsMeetEveryTypeAndEveryReasonOfDecoding(t *testing.T) {
	types := map[string]bool{}
	for _, v := range vectors(t, "valid") {
		var event struct{ Type string }
		require.NoError(t, json.Unmarshal(v.Event, &event))
		types[event.Type] = true
	}
	require.Len(t, types, len(events.PublishedTypes())+3, "and those of archives")
	reasons := map[events.Reason]bool{}
	for _, v := range vectors(t, "invalid") {
		reasons[v.Reason] = true
	}
	require.Len(t, reasons, 5)
}

func vectors(t testing.TB, kind string) map[string]vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", kind, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := map[string]vector{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		var v vector
		require.NoError(t, decoder.Decode(&v), file)
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = v
	}
	return all
}

// requireRoundTrips holds that both encodings of an event decode to it.
func requireRoundTrips(t *testing.T, event events.Event) {
	t.Helper()
	line, err := json.Marshal(event)
	require.NoError(t, err)
	again, err := archived.Decode(line, event.Time)
	require.NoError(t, err)
	if again.Type() != archived.ClaimedType { // a creation by the registry is one in an archive
		require.Equal(t, event, again)
	}

	attributes, data, err := events.Encode(event)
	if event.Type().Topic() == "" {
		require.ErrorContains(t, err, "unknown_type", "archive types are not published")
		return
	}
	if event.Source == envelope.ArchiveSource {
		require.ErrorContains(t, err, "foreign_source", "nor is anything of the registry's own")
		return
	}
	require.NoError(t, err)
	again, err = events.Decode(attributes, data, event.Time)
	require.NoError(t, err)
	require.Equal(t, event, again)
}
