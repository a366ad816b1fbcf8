package regstore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Strangers may fill histories with moves whose texts are as long as is allowed,
// and whose names are short: what is written of many such at once must fit into a
// request, or a move that names them all is never applied.
func TestHistoriesFullOfLongTextsFitIntoRequests(t *testing.T) {
	t.Setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1") // nothing is sent
	db, err := firestoredb.Open(t.Context(), firestoredb.Options{ProjectID: "p"})
	require.NoError(t, err)
	defer db.Close()
	s := &Store{db: db}
	long := strings.Repeat("x", ownership.MaxNoteBytes)
	tenant := "t_" + strings.Repeat("y", 126)
	all := make([]pending, 250)
	for i := range all {
		u := ownership.Update{TenantID: tenant}
		for j := range ownership.MaxIdleMoves {
			e := ownership.Entry{
				Type: ownership.Moved, From: tenant, To: tenant, Reason: long, Actor: long,
				Version: ownership.Version{Time: time.Unix(1, 1).UTC(), Source: "s", ID: fmt.Sprint(j)},
			}
			u.History, u.Path = append(u.History, e), append(u.Path, tenant)
			if j < ownership.MaxDisplaced {
				u.Displaced = append(u.Displaced, e)
			}
		}
		all[i] = pending{target: &target{resource: registry.Resource{Kind: registry.Thread, ID: fmt.Sprint(i)}}, update: u}
	}
	n := 0
	for chunk := range chunks(all, mostNoticed) {
		bytes := 0
		var resources []registry.Resource
		for _, p := range chunk {
			bytes += size(s.write(p.target, p.update, docdb.Condition{Updated: time.Now()}))
			resources = append(resources, p.resource)
		}
		bytes += size(s.feedWrite(resources...))
		require.LessOrEqual(t, bytes, 10<<20, "the service takes 10 MiB")
		n += len(chunk)
	}
	require.Equal(t, len(all), n)
}

// size is about that of a write on the wire.
func size(w docdb.Write) int {
	const framing, perName = 100, 20
	return proto.Size(&docdb.Document{Name: w.Name, Fields: w.Fields}) + framing + perName*(len(w.Mask)+len(w.Times))
}
