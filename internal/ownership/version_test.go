package ownership_test

import (
	"cmp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func TestVersionsCompareByTimeThenSourceThenID(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(1, 1)
	inOrder := []ownership.Version{
		{Time: early, Source: "//a", ID: "b"},
		{Time: early, Source: "//b", ID: "A"},
		{Time: early, Source: "//b", ID: "a"},
		{Time: late, Source: "//a", ID: "a"},
	}
	for i, v := range inOrder {
		for j, w := range inOrder {
			require.Equal(t, cmp.Compare(i, j), v.Compare(w), "%v and %v", v, w)
		}
	}
	elsewhere := inOrder[0]
	elsewhere.Time = early.In(time.FixedZone("elsewhere", 3600))
	require.Zero(t, inOrder[0].Compare(elsewhere), "times are instants")
}

// It asserts nothing (design §13), and direct readers see nobody.
func TestADocumentThatHasLostItsTenantIDIsRepaired(t *testing.T) {
	h := merged(created("t_a", 1, "e"))
	r := ownership.NewRecord(thread.DocumentID(), "", h, h.Path(nil), 0, time.Unix(100, 0))
	require.False(t, r.Plain)
	u := r.Update(h, nil)
	require.Equal(t, ownership.Duplicate, u.Outcomes[0].Kind)
	require.True(t, u.Write)
	require.Equal(t, "t_a", u.TenantID)
	require.False(t, u.Feed, "no history changes")
}
