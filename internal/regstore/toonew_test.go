package regstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	client "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// ledgerEntry is the document of an event's entry in the ledger.
func ledgerEntry(c *client.Client, source, id string) *client.DocumentRef {
	hash := sha256.Sum256([]byte(source + "\x00" + id))
	return c.Collection(prefix + fsregistry.LedgerCollection).Doc(base64.RawURLEncoding.EncodeToString(hash[:]))
}

// setMoveFormat changes an entry of the ledger as a later release would: with the
// head, in one commit.
func setMoveFormat(t *testing.T, c *client.Client, source, id string, format int64) {
	t.Helper()
	ledger, entry := c.Collection(prefix+fsregistry.LedgerCollection), ledgerEntry(c, source, id)
	require.NoError(t, c.RunTransaction(t.Context(), func(_ context.Context, tx *client.Transaction) error {
		head, err := tx.Get(ledger.Doc("head"))
		if err != nil {
			return err
		}
		position := head.Data()["position"].(int64) + 1
		changes := []client.Update{{Path: "format", Value: format}, {Path: "seq", Value: position}}
		if ownership.CheckFormat(format) == nil {
			changes = append(changes, client.Update{Path: "time", Value: time.Now()})
		}
		if err := tx.Update(entry, changes); err != nil {
			return err
		}
		return tx.Update(head.Ref, []client.Update{{Path: "position", Value: position}})
	}))
}

func TestWhatIsNotUnderstoodIsCountedAndToldNowAndThen(t *testing.T) {
	p, reader, log := emulatortest.Firestore(t), sdkmetric.NewManualReader(), &bytes.Buffer{}
	requireAll(t, ownership.Applied, open(t, p).Apply(t.Context(), creations("x", 1)))
	_, err := outside(t, p).Collection(prefix+fsregistry.Collection).Doc("thread__x-0").Update(t.Context(),
		[]client.Update{{Path: "format", Value: ownership.Format + 1}})
	require.NoError(t, err)
	s, err := fsregistry.Open(t.Context(), fsregistry.Options{
		ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions(),
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	require.NoError(t, err)
	defer s.Close()
	const n = 30
	for range n {
		require.ErrorIs(t, s.Apply(t.Context(), []ownership.Change{{Resource: creations("x", 1)[0].Resource, Entry: ownership.Entry{
			Type: ownership.Moved, From: "t_a", To: "t_b", Version: ownership.Version{Time: time.Unix(9, 0), Source: "//n", ID: "m"}}}})[0].Err, registry.ErrTooNew)
	}
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	counted := map[string]int64{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "registry.too_new" {
				for _, point := range sum.DataPoints {
					if item, _ := point.Attributes.Value("item"); point.Value > 0 {
						counted[item.AsString()] += point.Value
					}
				}
			}
		}
	}
	require.Equal(t, fmt.Sprint(map[string]int64{"document": n}), fmt.Sprint(counted))
	told := strings.Count(log.String(), "thread__x-0")
	require.Positive(t, told, "the log names the document")
	require.Less(t, told, n, "and does not say it each time")
}
