package spelling_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/spelling"
)

func TestTheDistanceIsTheFewestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0},
		{"abc", "abd", 1}, {"abc", "ab", 1}, {"abc", "xabc", 1},
		{"kitten", "sitting", 3}, {"replay", "relpay", 2},
		{"a", strings.Repeat("a", 65), 65},
	} {
		require.Equal(t, c.want, spelling.Distance(c.a, c.b), "%q %q", c.a, c.b)
		require.Equal(t, c.want, spelling.Distance(c.b, c.a), "%q %q", c.b, c.a)
	}
}
