package quota

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAnEntryIsOfOneKeyOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching("[ab_]{1,4}")
		own := Key{part.Draw(t, "tenant"), part.Draw(t, "action")}
		e := &entry{name: own.Tenant + "\x00" + own.Action}
		require.Equal(t, own, e.key())
		cut := rapid.IntRange(0, len(e.name)-1).Draw(t, "cut")
		require.Equal(t, cut == len(own.Tenant), e.is(e.name[:cut], e.name[cut+1:]), "cut elsewhere")
		other := Key{part.Draw(t, "other tenant"), part.Draw(t, "other action")}
		require.Equal(t, own == other, e.is(other.Tenant, other.Action), "%q %q", own, other)
	})
}

func TestATableFindsWhatWasInsertedAndShrinks(t *testing.T) {
	table := newTable()
	shardOf := func(k Key) (*shard, uint64) {
		hash := table.hash(k.Tenant, k.Action)
		return &table.shards[0], hash // all in one
	}
	const keys = 5000
	key := func(i int) Key { return Key{fmt.Sprintf("t_%d", i), "x"} }
	for i := range keys {
		s, hash := shardOf(key(i))
		require.Nil(t, s.find(hash, key(i).Tenant, key(i).Action))
		table.insert(s, hash, key(i)).want = int32(i)
	}
	s := &table.shards[0]
	full := len(*s.buckets.Load())
	for range 20 {
		table.filter(s, func(e *entry) bool { return e.want%100 == 0 })
	}
	for i := range keys {
		_, hash := shardOf(key(i))
		e := s.find(hash, key(i).Tenant, key(i).Action)
		require.Equal(t, i%100 == 0, e != nil)
		require.True(t, e == nil || int(e.want) == i)
	}
	require.Equal(t, keys/100, s.n)
	require.Less(t, len(*s.buckets.Load()), full/16)
	table.filter(s, func(*entry) bool { return false })
	require.Zero(t, s.n)
	require.Empty(t, *s.buckets.Load())
}
