package manifests

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func operations(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/operations.md")
	require.NoError(t, err)
	return string(page)
}

func TestThePageSaysOfEveryCommandWhichPermissionsItNeeds(t *testing.T) {
	_, table, found := strings.Cut(operations(t), "| command | Firestore | Pub/Sub |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var listed []string
	for row := range strings.Lines(table) {
		first, _, _ := strings.Cut(row[1:], "|")
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			words, _, _ := strings.Cut(name[1], " --")
			listed = append(listed, strings.TrimSuffix(words, " FILE"))
		}
	}
	slices.Sort(listed)
	var commands []string
	for _, name := range below(t) {
		if subs := below(t, name); len(subs) > 0 {
			for _, sub := range subs {
				commands = append(commands, name+" "+sub)
			}
			continue
		}
		commands = append(commands, name)
	}
	slices.Sort(commands)
	require.Equal(t, commands, slices.Compact(listed))
}

// below are the commands that help lists, those of a command or all.
func below(t *testing.T, command ...string) (names []string) {
	t.Helper()
	_, list, found := strings.Cut(output(t, nil, append([]string{"help"}, command...)...), "\nCOMMANDS:\n")
	if !found {
		return nil
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		if name := strings.TrimSuffix(strings.Fields(line)[0], ","); name != "help" {
			names = append(names, name)
		}
	}
	return names
}

func TestThePageHasTheTimesOfCloudRunAsTheManifestHas(t *testing.T) {
	manifest, err := os.ReadFile("../../cloudrun/api.yaml")
	require.NoError(t, err)
	times := regexp.MustCompile("`(--shutdown-delay=\\S+) (--drain-timeout=\\S+)`").FindStringSubmatch(operations(t))
	require.NotEmpty(t, times)
	require.Contains(t, string(manifest), "- "+times[1]+"\n")
	require.Contains(t, string(manifest), "- "+times[2]+"\n")
}

func TestThePageNamesThePartsThatThereAre(t *testing.T) {
	page := operations(t)
	for _, dir := range []string{"components", "overlays"} {
		parts, err := os.ReadDir(kubernetes + "/" + dir)
		require.NoError(t, err)
		for _, part := range parts {
			require.Contains(t, page, "`"+dir+"/"+part.Name()+"`")
		}
	}
}
