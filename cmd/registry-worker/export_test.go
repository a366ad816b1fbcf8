package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// documents is a store that exports the given records, as they would be stored.
type documents struct {
	ownership.Store
	records []ownership.Record
	ledger  *ownership.Ledger
}

func (d documents) Export(_ context.Context, visit func(ownership.Record, *ownership.Ledger) error) error {
	for _, r := range d.records {
		if err := visit(r, d.ledger); err != nil {
			return err
		}
	}
	return nil
}

var noon = time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)

func entry(typ ownership.EntryType, at time.Time, tenant string) ownership.Entry {
	return ownership.Entry{Type: typ, Version: ownership.Version{Time: at, Source: "s", ID: "1"}, Tenant: tenant}
}

// stored is a document as we write it, whose tenant may lag behind.
func stored(name, tenant, creator string) ownership.Record {
	h := ownership.History{entry(ownership.Created, noon, creator)}
	return ownership.NewRecord(name, tenant, h, []string{tenant}, 0, noon)
}

// plain is a document as outsiders write it.
func plain(name, tenant string) ownership.Record {
	return ownership.NewRecord(name, tenant, nil, nil, 0, noon)
}

func TestExportWritesTheOwnerByTheFoldAndNamesForeignDocuments(t *testing.T) {
	store := documents{
		records: []ownership.Record{
			plain("canvas__~ca", "t_eve"),
			plain("canvas__ca_1", "t_eve"),
			plain("chat__1", "t_eve"),
			stored("thread__th_1", "t_ada", "t_ada"),
			plain("thread__th_2", "Eve & <co>"),
			plain("thread__th_3", ""),
			stored("thread__th_~.:@+=-_4", "t_bob", "t_bob"),
		},
		ledger: ownership.NewLedger(1, []ownership.LedgerEntry{{
			Version: ownership.Version{Time: noon.Add(time.Hour), Source: "s", ID: "m"}, From: "t_ada", To: "t_bob", Position: 1,
		}}),
	}
	var out, foreign bytes.Buffer
	exported, err := exportOwners(t.Context(), store, &out, &foreign)
	require.NoError(t, err)
	require.Equal(t, 3, exported)
	require.Equal(t, `{"kind":"canvas","id":"ca_1","tenant_id":"t_eve"}
{"kind":"thread","id":"th_1","tenant_id":"t_bob"}
{"kind":"thread","id":"th_~.:@+=-_4","tenant_id":"t_bob"}
`, out.String())
	for _, name := range []string{`"canvas__~ca"`, `"chat__1"`, `"thread__th_2"`, `"thread__th_3"`} {
		require.Contains(t, foreign.String(), "document "+name)
	}
}

func TestCheckPrintsWhatDocumentsSayOtherwiseAndFails(t *testing.T) {
	store := documents{
		records: []ownership.Record{stored("thread__th_1", "t_ada", "t_ada"), stored("thread__th_2", "t_bob", "t_bob"), plain("chat__1", "t_eve")},
		ledger: ownership.NewLedger(1, []ownership.LedgerEntry{{
			Version: ownership.Version{Time: noon.Add(time.Hour), Source: "s", ID: "m"}, From: "t_ada", To: "t_bob", Position: 1,
		}}),
	}
	var out, told bytes.Buffer
	require.EqualError(t, checkDocuments(t.Context(), store, &out, &told), "1 of 2 documents have a tenant_id that is not the owner")
	require.Equal(t, `{"kind":"thread","id":"th_1","tenant_id":"t_ada","owner":"t_bob"}`+"\n", out.String())

	store.ledger = nil
	out.Reset()
	require.NoError(t, checkDocuments(t.Context(), store, &out, &told))
	require.Empty(t, out.String())
}

func TestAnExportThatCannotBeWrittenIsAFault(t *testing.T) {
	store := documents{records: []ownership.Record{stored("thread__th_1", "t_ada", "t_ada")}}
	_, err := exportOwners(t.Context(), store, fullDisk{}, &bytes.Buffer{})
	require.Error(t, err)
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, context.DeadlineExceeded }

// A machine whose clock is wrong must not say of an archive what it does not hold.
func TestAnArchiveBearsTheStoresTime(t *testing.T) {
	store := memregistry.NewAt(func() time.Time { return time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC) })
	var out, foreign bytes.Buffer
	require.NoError(t, exportEvents(t.Context(), store, target{Project: "p"}, &out, &foreign))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2)
	for _, line := range lines {
		require.Contains(t, line, `"time":"2031-02-03T04:05:06Z"`)
	}
}
