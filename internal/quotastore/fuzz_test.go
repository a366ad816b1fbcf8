package quotastore

import (
	"math"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// Whatever others have put into a window's document, it is a window that bounds what is
// admitted, and ends.
func FuzzWindowDocuments(f *testing.F) {
	add := func(fields map[string]*docdb.Value) {
		text, err := proto.Marshal(&docdb.Document{Name: "x/rate_limit_counters/t_a__b", Fields: fields})
		require.NoError(f, err)
		f.Add(text)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	reset := limits.UnixSeconds(at) - 7
	add(encode(limits.Change{Window: limits.Window{LastReset: reset, Count: 3, Length: time.Minute, Limit: 100, Generation: 2, Sharing: limits.Sharing{Writes: 1, Parts: 2, PartLimit: 10, Parted: 20}}, ExpiresAt: at}))
	add(map[string]*docdb.Value{lastResetField: docdb.Double(reset), countField: docdb.Integer(5)}) // the Python service's
	add(map[string]*docdb.Value{lastResetField: docdb.Integer(int64(reset)), countField: docdb.Double(2.5)})
	for _, number := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1e300, math.MaxInt64} {
		add(map[string]*docdb.Value{lastResetField: docdb.Double(number), countField: docdb.Double(number), limitField: docdb.Double(number), lengthField: docdb.Double(number)})
	}
	add(map[string]*docdb.Value{lastResetField: docdb.Text("now"), countField: docdb.Boolean(true), sharingField: docdb.Text("x")})
	f.Fuzz(func(t *testing.T, text []byte) {
		var d firestorepb.Document
		if proto.Unmarshal(text, &d) != nil {
			return
		}
		_ = understood(&d)
		_ = decodeReset(d.Fields)
		stored := decode(d.Fields)
		w := stored.At(at, limits.DefaultPolicy())
		require.Positive(t, w.Limit)
		require.LessOrEqual(t, w.Limit, int64(limits.MaxLimit))
		require.GreaterOrEqual(t, w.Count, int64(0))
		require.LessOrEqual(t, w.Remaining(), w.Limit)
		require.Positive(t, w.Left(at), "%+v", w)
		require.LessOrEqual(t, w.Left(at), limits.MaxWindow)
		// A Python program sees what is stored, and so does the next of ours.
		require.Equal(t, w, decode(encode(limits.Change{Window: w, ExpiresAt: at})).At(at, limits.DefaultPolicy()))
	})
}
