package monitoring

import (
	"os"
	"regexp"
	"slices"
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

// A paragraph that sends somebody to a panel names one of the dashboard's.
func TestThePanelsThatThePageNamesAreOnTheDashboard(t *testing.T) {
	page, err := os.ReadFile("../../../docs/operations.md")
	require.NoError(t, err)
	var titles, named []string
	for _, p := range shippedDashboard(t).Panels {
		titles = append(titles, p.Title)
	}
	for _, mention := range regexp.MustCompile(`[Pp]anels? (\*[^*]+\*(?:(?:,| and) \*[^*]+\*)*)`).FindAllStringSubmatch(string(page), -1) {
		for _, name := range regexp.MustCompile(`\*([^*]+)\*`).FindAllStringSubmatch(mention[1], -1) {
			named = append(named, name[1])
		}
	}
	require.NotEmpty(t, named)
	for _, name := range named {
		require.True(t, slices.Contains(titles, name), "no panel %q", name)
	}
}
