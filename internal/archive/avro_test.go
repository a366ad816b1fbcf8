package archive_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
)

// The fields that https://cloud.google.com/pubsub/docs/cloudstorage names.
const messageSchema = `{"type":"record","name":"message","fields":[
	{"name":"subscription_name","type":"string"},
	{"name":"message_id","type":"string"},
	{"name":"publish_time","type":{"type":"long","logicalType":"timestamp-micros"}},
	{"name":"attributes","type":{"type":"map","values":"string"}},
	{"name":"data","type":"bytes"}]}`

// bucketFile is a file as a subscription of Pub/Sub writes it to Cloud Storage.
func bucketFile(t *testing.T, compression string, messages ...map[string]any) string {
	t.Helper()
	var b bytes.Buffer
	w, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &b, Schema: messageSchema, CompressionName: compression})
	require.NoError(t, err)
	for _, m := range messages {
		m["subscription_name"], m["message_id"], m["publish_time"] = "projects/p/subscriptions/s", "1", time.Unix(1_800_000_000, 0)
		require.NoError(t, w.Append([]any{m}))
	}
	return file(t, "2026-01-01T00:00:00.avro", b.Bytes())
}

func TestFilesOfACloudStorageSubscriptionAreRead(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	creation := events.Event{ID: "1", Source: "//nexus", Time: at, Data: events.ThreadCreated{TenantID: "t_a", ThreadID: "x"}, Subject: "x"}
	attributes, data, err := events.Encode(creation)
	require.NoError(t, err)
	claim := archived.NewClaimed(archived.Claimed{TenantID: "t_a", Resource: events.ResourceRef{Kind: "thread", ID: "x"}}, at)
	line, err := claim.MarshalJSON()
	require.NoError(t, err)
	binary := map[string]any{}
	for name, value := range attributes {
		binary[name] = value
	}
	structured := map[string]any{"content-type": "application/cloudevents+json; charset=utf-8"}
	for _, compression := range []string{goavro.CompressionNullLabel, goavro.CompressionDeflateLabel, goavro.CompressionSnappyLabel} {
		name := bucketFile(t, compression,
			map[string]any{"attributes": binary, "data": data},
			map[string]any{"attributes": structured, "data": line},
			map[string]any{"attributes": map[string]any{}, "data": []byte("no event")},
			map[string]any{"attributes": map[string]any{"ce-id": "a", "CE-ID": "b", "ce-specversion": "1.0"}, "data": data})
		reader, err := archive.Open([]string{name, file(t, "plain.ndjson", line)}, nil)
		require.NoError(t, err)
		var got []events.Event
		refused := 0
		for line, err := range reader.Lines(t.Context()) {
			require.NoError(t, err)
			if line.Refusal != nil {
				refused++
				continue
			}
			event, err := archived.Decode(line.Text, at)
			if err != nil {
				refused++
				continue
			}
			got = append(got, event)
		}
		require.Equal(t, []events.Event{creation, claim, claim}, got)
		require.Equal(t, 2, refused)
	}
}

func TestACloudStorageFileThatWasCutIsAnErrorAndNotAShorterArchive(t *testing.T) {
	whole := bucketFile(t, goavro.CompressionNullLabel, map[string]any{"attributes": map[string]any{}, "data": []byte("one")}, map[string]any{"attributes": map[string]any{}, "data": []byte("two")})
	text, err := os.ReadFile(whole)
	require.NoError(t, err)
	for _, cut := range []int{5, 20, len(text) - 200} {
		_, err := read(t, []string{file(t, "cut.avro", text[:len(text)-cut])}, "")
		require.ErrorContains(t, err, "cut.avro", cut)
	}
	other := filepath.Join(t.TempDir(), "other.avro")
	var b bytes.Buffer
	w, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &b, Schema: `{"type":"record","name":"r","fields":[{"name":"x","type":"string"}]}`})
	require.NoError(t, err)
	require.NoError(t, w.Append([]any{map[string]any{"x": "y"}}))
	require.NoError(t, os.WriteFile(other, b.Bytes(), 0o600))
	_, err = read(t, []string{other}, "")
	require.ErrorContains(t, err, "no field data")
}
