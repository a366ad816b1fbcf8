package replay

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestASpillHoldsWhatWasPutLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := newSpill()
		require.NoError(t, err)
		defer s.close()
		want := map[string]string{}
		for i := range rapid.IntRange(0, 6000).Draw(t, "puts") {
			key := fmt.Sprint("key ", rapid.Uint16().Draw(t, "key")%5000)
			want[key] = fmt.Sprint(i, bytes.Repeat([]byte("x"), i%300))
			require.NoError(t, s.put([]byte(key), []byte(want[key])))
			if i%100 == 0 {
				other := fmt.Sprint("key ", i)
				value, err := s.get([]byte(other))
				require.NoError(t, err)
				require.Equal(t, want[other], string(value))
			}
		}
		got := map[string]string{}
		require.NoError(t, s.each(func(key, value []byte) error {
			require.NotContains(t, got, string(key), "each once")
			got[string(key)] = string(value)
			return nil
		}))
		require.Equal(t, want, got)
		none, err := s.get([]byte("no such key"))
		require.NoError(t, err)
		require.Nil(t, none)
	})
}

// Two keys with one hash are two keys, also where the table ends and goes on from its
// beginning.
func TestKeysWithOneHashAreNotTakenForOneAnother(t *testing.T) {
	s, err := newSpill()
	require.NoError(t, err)
	defer s.close()
	const last = ^uint64(0)
	var slots []int64
	for i := range 100 {
		key := []byte(fmt.Sprint("key ", i))
		slot, value, err := s.find(last, key)
		require.NoError(t, err)
		require.Nil(t, value)
		at := s.end
		record := append([]byte{0, 0, 0, byte(len(key)), 0, 0, 0, 1}, append(key, byte(i))...)
		_, err = s.out.Write(record)
		require.NoError(t, err)
		s.end += int64(len(record))
		fresh, err := s.point(s.index, slot, last, at)
		require.NoError(t, err)
		require.True(t, fresh)
		slots = append(slots, slot)
	}
	require.Equal(t, []int64{1<<firstBits - 1, 0, 1}, slots[:3])
	for i := range 100 {
		_, value, err := s.find(last, []byte(fmt.Sprint("key ", i)))
		require.NoError(t, err)
		require.Equal(t, []byte{byte(i)}, value)
	}
}
