package regstore

import (
	"path"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// marshal makes a document as the fuzzer gets it.
func marshal(f *testing.F, name string, fields map[string]*docdb.Value) []byte {
	text, err := proto.Marshal(&docdb.Document{Name: name, Fields: fields, UpdateTime: timestamppb.New(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))})
	require.NoError(f, err)
	return text
}

// Whatever others have put into a resource's document, it is not understood, or it is
// a history that is folded, written and read again as the same.
func FuzzResourceDocuments(f *testing.F) {
	at := time.Date(2026, 2, 1, 12, 0, 0, 5, time.UTC)
	r := registry.Resource{Kind: registry.Thread, ID: "th_1"}
	claim := ownership.ClaimEntry("t_a", r, at)
	claim.Event = ownership.EventName{Source: "//nexus", ID: "e"}
	moved := ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b", Version: ownership.Version{Time: at.Add(time.Hour), Source: "s", ID: "m"}, Reason: "why", Actor: "who"}
	for _, h := range []ownership.History{{claim}, {claim, moved}, {{Type: ownership.Created, Tenant: "t_a", Version: ownership.Version{Time: at, Source: "s", ID: "1"}}}} {
		u := ownership.Record{}.Update(h, ownership.NewLedger(0, nil))
		f.Add(marshal(f, "realtime_registry/"+r.DocumentID(), encode(u, nil)))
	}
	f.Add(marshal(f, "realtime_registry/"+r.DocumentID(), map[string]*docdb.Value{fieldTenantID: docdb.Text("t_a")})) // a plain set
	f.Add(marshal(f, "realtime_registry/x", map[string]*docdb.Value{fieldTenantID: docdb.Integer(1), fieldHistory: docdb.Text("x"), fieldFormat: docdb.Text("9")}))
	f.Add(marshal(f, "realtime_registry/x", map[string]*docdb.Value{fieldFormat: docdb.Integer(99), fieldHistory: docdb.Array([]*docdb.Value{docdb.Map(nil), docdb.Integer(1)})}))
	ledger := ownership.NewLedger(3, []ownership.LedgerEntry{{Version: ownership.Version{Time: at.Add(time.Minute), Source: "s", ID: "l"}, From: "t_a", To: "t_c", Position: 3}})
	f.Fuzz(func(t *testing.T, text []byte) {
		var d firestorepb.Document
		if proto.Unmarshal(text, &d) != nil || !d.UpdateTime.IsValid() {
			return
		}
		record := decode(&d)
		u := record.Update([]ownership.Entry{moved}, ledger)
		if record.Unread != nil {
			require.Equal(t, ownership.Failed, u.Outcomes[0].Kind)
			require.False(t, u.Write, "what is not understood is left alone")
			return
		}
		if !u.Write {
			return
		}
		again := decode(&docdb.Document{Name: d.Name, Fields: encode(u, nil), UpdateTime: timestamppb.New(at)})
		require.NoError(t, again.Unread)
		require.True(t, u.History.Equal(again.History), "%v and %v", u.History, again.History)
		require.Equal(t, u.TenantID, again.TenantID)
		require.Equal(t, u.Path, again.Path)
	})
}

// The documents beside it: entries of the ledger and of the feed, and the head.
func FuzzLedgerDocuments(f *testing.F) {
	at := time.Date(2026, 2, 1, 12, 0, 0, 5, time.UTC)
	e := ownership.LedgerEntry{
		Version: ownership.Version{Time: at, Source: "s", ID: "l"}, From: "t_a", To: "t_c", Position: 3, Reason: "why", Actor: "who", ChangedAt: at,
		Retractions: []ownership.Said{{By: "b", Why: "w", At: at}},
		Rewriting:   ownership.Rewriting{State: ownership.RewritingRunning, Tenants: []string{"t_a"}, Last: true, Cursor: "thread__a", Ranges: []ownership.Range{{After: "thread__a", UpTo: "thread__b"}}},
	}
	s := &Store{}
	f.Add(marshal(f, "realtime_registry_ledger/x", s.ledgerWrite("x", e, nil).Fields))
	e.RetractionOnly = true
	f.Add(marshal(f, "realtime_registry_ledger/x", s.ledgerWrite("x", e, nil).Fields))
	f.Add(marshal(f, "realtime_registry_changes/x", map[string]*docdb.Value{fieldResources: docdb.Texts([]string{"thread__a", "canvas__b"}), fieldAt: docdb.Timestamp(at), fieldFormat: docdb.Integer(2)}))
	f.Add(marshal(f, "realtime_registry_ledger/head", map[string]*docdb.Value{fieldPosition: docdb.Integer(4), fieldFormat: docdb.Integer(1), fieldMinReader: docdb.Text("x")}))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d firestorepb.Document
		if proto.Unmarshal(text, &d) != nil {
			return
		}
		_, _ = decodeResources(d.Fields)
		_, _ = feedTime(&d), layoutOf(&d)
		got := decodeLedgerEntry(&d)
		if got.Unread != nil {
			require.ErrorIs(t, got.Unread, registry.ErrTooNew)
			return
		}
		_ = ownership.NewLedger(got.Position, []ownership.LedgerEntry{got}) // it can be folded with
		again := decodeLedgerEntry(&docdb.Document{Name: d.Name, Fields: s.ledgerWrite(path.Base(d.Name), got, nil).Fields})
		require.NoError(t, again.Unread)
		require.Equal(t, got.EventName(), again.EventName())
		require.Equal(t, got.RetractionOnly, again.RetractionOnly)
		if !got.RetractionOnly { // of what has not come there are no tenants
			require.Equal(t, []string{got.From, got.To}, []string{again.From, again.To})
		}
		require.True(t, got.Time.Equal(again.Time))
		require.Equal(t, got.Position, again.Position)
		require.Equal(t, got.Retracted(), again.Retracted())
	})
}

// A chunk of a snapshot is what was written, or an error; never another ledger.
func FuzzSnapshotChunks(f *testing.F) {
	at := time.Date(2026, 2, 1, 12, 0, 0, 5, time.UTC)
	moves := []ownership.Move{{Version: ownership.Version{Time: at, Source: "s", ID: "1"}, From: "t_a", To: "t_b", Position: 1},
		{Version: ownership.Version{Source: "s", ID: "2"}, Position: 2, Retracted: true, RetractionOnly: true}}
	var chunk []byte
	for _, m := range moves {
		chunk = appendMove(chunk, m)
	}
	f.Add(chunk)
	f.Add(chunk[:len(chunk)-3])
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, chunk []byte) {
		stored, err := compress(chunk)
		require.NoError(t, err)
		moves, err := decodeChunk(stored)
		if err != nil {
			return
		}
		var again []byte
		for _, m := range moves {
			again = appendMove(again, m)
		}
		stored, err = compress(again)
		require.NoError(t, err)
		same, err := decodeChunk(stored)
		require.NoError(t, err)
		require.Equal(t, moves, same)
	})
}
