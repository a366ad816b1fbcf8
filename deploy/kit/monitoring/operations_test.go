package monitoring

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each alert has its paragraph in docs/operations.md, which has no others.
func TestEveryAlertHasItsParagraph(t *testing.T) {
	page, err := os.ReadFile("../../../docs/operations.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n## Alerts\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	paragraphs := map[string]string{}
	for part := range strings.SplitSeq(section, "\n#### ") {
		name, text, found := strings.Cut(part, "\n")
		if found && strings.HasPrefix(name, "Registry") {
			require.NotContains(t, paragraphs, name, "twice")
			paragraphs[name] = text
		}
	}
	for _, name := range rules(t).alerts() {
		require.Contains(t, paragraphs, name)
		for _, part := range []string{"**Means**", "**Look at**", "**Do**"} {
			require.Contains(t, paragraphs[name], part, name)
		}
		delete(paragraphs, name)
	}
	require.Empty(t, paragraphs, "paragraphs of no alert")
}
