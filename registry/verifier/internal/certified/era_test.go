package certified

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// A check may be held up between its look at the certificate and what it finds: then
// the certificate may be of the epoch before, and its position the greater one.
func TestAnEntryIsFoldedWithALedgerOfItsEraAlone(t *testing.T) {
	thread := registry.Resource{Kind: registry.Thread, ID: "1"}
	at := time.Unix(10, 0).UTC()
	history := ownership.History{{Type: ownership.Created, Version: ownership.Version{Time: at, Source: "//nexus", ID: "c"}, Tenant: "t_a"}}
	lost := ownership.LedgerEntry{Version: ownership.Version{Time: at.Add(time.Second), Source: "//nexus", ID: "m"}, From: "t_a", To: "t_b", Position: 1}
	before, after := ownership.NewLedger(1, []ownership.LedgerEntry{lost}).InEpoch("before"), ownership.NewLedger(1, nil).InEpoch("after")
	c := newTable(63, 64<<10, 0)
	keep := func(l *ownership.Ledger) { c.insert(thread, history, l, c.mark(thread, time.Now())) }
	entry := func() *entry {
		s, hash := c.shardOf(thread)
		return s.lookup(hash, thread)
	}
	keep(before)
	held := &certificate{ledger: before, generation: 1}
	owner, ok := entry().owner(held)
	require.True(t, ok)
	require.Equal(t, "t_b", owner)

	c.drop()
	keep(after)
	require.Nil(t, entry(), "it waits for a certificate of its epoch")
	era := c.beginEra(after)
	keep(before)
	require.Nil(t, entry(), "it is of the epoch before")
	keep(after)
	_, ok = entry().owner(held)
	require.False(t, ok)
	owner, ok = entry().owner(&certificate{ledger: after, generation: 2, era: era})
	require.True(t, ok)
	require.Equal(t, "t_a", owner)
}

// What is read before the first write to a registry is of any epoch.
func TestAnEraBeginsWithTheFirstLedger(t *testing.T) {
	c := newTable(63, 64<<10, 0)
	of := func(l *ownership.Ledger) bool { _, ok := c.eraOf(l); return ok }
	require.True(t, of(nil))
	require.True(t, of(ownership.NewLedger(0, nil).InEpoch("first")))
	require.True(t, of(nil), "an answer from before that is late")
	require.True(t, of(ownership.NewLedger(3, nil).InEpoch("first")))
	require.False(t, of(ownership.NewLedger(3, nil)))
}
