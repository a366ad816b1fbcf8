//go:build proofs

package robustness

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/judge"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// settle waits until every message is settled, every dead letter has been read, and no
// document waits to be rewritten.
func (x *installation) settle() {
	deadline := time.Now().Add(time.Duration(bounds.Settle) * time.Millisecond)
	for left := x.acks.left(x.publisher.published()); len(left) > 0; left = x.acks.left(x.publisher.published()) {
		if time.Now().After(deadline) {
			x.t.Logf("%d messages are left: %v", len(left), left[:min(20, len(left))])
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	for time.Now().Before(deadline) && strings.Contains(x.must("moves", "list", "--state", "pending", "--limit", "1", "--json"), `"id"`) {
		time.Sleep(time.Second)
	}
	if time.Now().Before(deadline) {
		x.history.record(judge.Record{Type: judge.Settled, At: now()})
	}
	// What a process that died has not published is swept by another, within two minutes.
	for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline) && x.promised.left() > 0; {
		time.Sleep(100 * time.Millisecond)
	}
	const still = 5 * time.Second // and what processes keep for a while is gone
	for begun := now(); now()-max(begun, x.lastRead.Load()) < int64(still); {
		time.Sleep(100 * time.Millisecond)
	}
}

// end adds to the history what the registry has.
func (x *installation) end() {
	if code, out, errs := x.command(context.Background(), "export", "--check"); code != 0 {
		x.t.Errorf("export --check: %s%s", out, errs)
	}
	x.history.lines(x.must("export", "--events"))
	x.history.lines(x.must("export"))
	x.named()
	store, err := fsregistry.Open(context.Background(), fsregistry.Options{ProjectID: x.project.ID, ClientOptions: x.project.FirestoreOptions()})
	require.NoError(x.t, err)
	defer store.Close()
	displaced := func(name string, all []ownership.Entry) {
		for _, e := range all {
			x.history.record(judge.Record{Type: judge.Displaced, At: now(), Source: e.Source, ID: e.ID, Resource: name})
		}
	}
	require.NoError(x.t, store.Export(context.Background(), func(r ownership.Record, _ *ownership.Ledger) error {
		displaced(r.Resource.String(), r.Displaced)
		return nil
	}))
	moves, err := store.Moves(context.Background())
	require.NoError(x.t, err)
	for _, m := range moves {
		displaced("ledger", m.Displaced)
	}
}

// health asks every process again and again how it is.
func (x *installation) health(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	for ctx.Err() == nil {
		for _, m := range x.machines {
			for _, path := range []string{"/livez", "/readyz"} {
				asking.Go(func() { x.askHealth(m, path) })
			}
		}
		sleep(ctx, time.Second)
	}
}

func (x *installation) askHealth(m *machine, path string) {
	serving := m.up.Load()
	r := judge.Record{Type: judge.Health, At: now(), Of: m.name, Path: path}
	r.Status, _ = m.get(path, time.Minute)
	r.Until = now()
	if serving || r.Status == http.StatusOK { // one that is not up may not answer
		x.history.record(r)
	}
}

// windows records every window of the throttle that begins, as its document says.
func (x *installation) windows(ctx context.Context) {
	direct := x.project
	direct.FirestoreHost = x.project.FirestoreRules.Target() // no rules, no distance
	client, err := firestore.NewClient(ctx, x.project.ID, direct.FirestoreOptions()...)
	if err != nil {
		x.t.Errorf("windows: %v", err)
		return
	}
	defer client.Close()
	seen := map[string]float64{}
	snapshots := client.Collection("rate_limit_counters").Snapshots(ctx)
	defer func() { snapshots.Stop() }()
	for ctx.Err() == nil {
		s, err := snapshots.Next()
		if err != nil { // the emulator was started again
			snapshots.Stop()
			sleep(ctx, 200*time.Millisecond)
			snapshots = client.Collection("rate_limit_counters").Snapshots(ctx)
			continue
		}
		for _, change := range s.Changes {
			name := change.Doc.Ref.ID
			tenant, action, ok := strings.Cut(name, "__")
			began, _ := change.Doc.Data()["last_reset"].(float64)
			length, _ := change.Doc.Data()["length"].(int64)
			limit, _ := change.Doc.Data()["limit"].(int64)
			if !ok || strings.Contains(action, ".") || seen[name] == began || length == 0 {
				continue // a part of a window, or one that is known
			}
			seen[name] = began
			at := int64(began * 1e9)
			x.history.record(judge.Record{Type: judge.Window, At: at, Until: at + length*int64(time.Second), Tenant: tenant, Action: action, N: limit})
		}
	}
}
