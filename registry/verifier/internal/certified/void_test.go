package certified

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// touchedOnes keeps which ownerships a change may have ended.
type touchedOnes struct{ indexes []int32 }

func (o *touchedOnes) Changed(indexes []int32) { o.indexes = append(o.indexes, indexes...) }
func (o *touchedOnes) Dropped()                {}
func (o *touchedOnes) Certified()              {}

// A creation may join such a history without a notice, and then a move of the tenant
// that is older than the creation which was read counts.
func TestWhatCannotBeReliedOnIsVerifiedAgainThoughAnotherResourceBecameVoid(t *testing.T) {
	one, other := registry.Resource{Kind: registry.Thread, ID: "1"}, registry.Resource{Kind: registry.Thread, ID: "2"}
	at := func(s int64, id string) ownership.Version {
		return ownership.Version{Time: time.Unix(s, 0).UTC(), Source: "//nexus", ID: id}
	}
	ledger := ownership.NewLedger(1, []ownership.LedgerEntry{{Version: at(5, "m"), From: "t_a", To: "t_b", Position: 1}})
	history := ownership.History{{Type: ownership.Created, Version: at(10, "c"), Tenant: "t_a"}}
	require.False(t, history.Reliable(ledger))

	c := &Cache{table: newTable(63, 64<<10, 0)}
	c.certifier = &certifier{table: c.table}
	var told touchedOnes
	c.Subscribe([]Ownership{{TenantID: "t_a", Resource: one}}, &told)
	mark := c.table.mark(one, time.Now())
	c.table.invalidate(other, touched{})
	c.table.insert(one, history, ledger, mark)
	require.Equal(t, []int32{0}, told.indexes)
}
