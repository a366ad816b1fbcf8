package export

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// Whatever fits in memory, and in however many files the rest is.
func TestLinesAreInTheOrderOfTheirVersions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := Sorted{most: rapid.SampledFrom([]int{1, 500, 2_000, 0}).Draw(rt, "bytes in memory")}
		defer func() { require.NoError(rt, s.Close()) }()
		var want []versioned
		for i := range rapid.IntRange(0, 60).Draw(rt, "lines") {
			v := ownership.Version{
				Time:   time.Unix(rapid.Int64Range(-3, 3).Draw(rt, "time"), 0).In(time.FixedZone("", rapid.IntRange(0, 1).Draw(rt, "zone")*3600)),
				Source: rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "source"),
				ID:     rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "id"),
			}
			lines := fmt.Appendf(nil, "%d\n", i)
			want = append(want, versioned{v, lines})
			require.NoError(rt, s.Add(v, lines))
			if s.most > 0 {
				require.Less(rt, s.bytes, s.most)
			}
		}
		slices.SortStableFunc(want, byVersion)
		var all []byte
		for _, v := range want {
			all = append(all, v.Lines...)
		}
		var got bytes.Buffer
		n, err := s.WriteTo(&got)
		require.NoError(rt, err)
		require.EqualValues(rt, len(all), n)
		require.Equal(rt, string(all), got.String())
	})
}
