// Package docs holds the documentation against the code.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/registry"
)

// pages returns the documentation, by file name.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	require.NoError(t, err)
	pages := map[string]string{}
	for _, file := range append(files, "../README.md") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		pages[file] = string(text)
	}
	return pages
}

// A block of code behind "<!-- from FILE -->" is part of that file, which tests
// run.
func TestTheDocumentationShowsTheCodeThatIsRun(t *testing.T) {
	shown := regexp.MustCompile("(?s)<!-- from (\\S+) -->\n```[a-z]+\n(.*?)```")
	blocks := 0
	for file, text := range pages(t) {
		for _, block := range shown.FindAllStringSubmatch(text, -1) {
			source, err := os.ReadFile(filepath.Join(filepath.Dir(file), block[1]))
			require.NoError(t, err)
			require.Contains(t, string(source), block[2], "%s shows what %s does not have", file, block[1])
			blocks++
		}
	}
	require.Positive(t, blocks)
}

func TestPagesThatNameThePatternsHaveThemRight(t *testing.T) {
	for _, page := range []string{"seeding.md", "migration.md"} {
		require.Contains(t, pages(t)[page], "`"+registry.TenantPattern+"`", page)
		require.Contains(t, pages(t)[page], "`"+registry.ResourcePattern+"`", page)
	}
}

func TestTheExampleOfPoliciesGivesNobodyLessThanEverybody(t *testing.T) {
	_, text, found := strings.Cut(pages(t)["throttle.md"], "```yaml\n")
	require.True(t, found)
	text, _, _ = strings.Cut(text, "```")
	policies, err := limits.ParsePolicies("throttle.md", []byte(text))
	require.NoError(t, err)
	set := limits.NewPolicySet(policies)
	for _, p := range policies.List {
		if p.Tenant == "" || p.Action != "" {
			continue
		}
		for _, action := range []string{"chat_send", "stream_connect", "stream_resume"} {
			his, everybodys := set.Of(limits.Key{Tenant: p.Tenant, Action: action}), set.Of(limits.Key{Tenant: "t_other", Action: action})
			require.Greater(t, his.Limit, everybodys.Limit, "%s %s", p.Tenant, action)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]*))?\)`)
	links := 0
	for file, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := file
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(file), m[1])
			}
			linked, err := os.ReadFile(target)
			require.NoError(t, err, "%s links to %s", file, m[1])
			if m[2] != "" {
				require.Contains(t, anchors(string(linked)), m[2], "%s links to %s#%s", file, m[1], m[2])
			}
			links++
		}
	}
	require.Positive(t, links)
}

// anchors are the headings of a page as links name them.
func anchors(text string) []string {
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	dropped := regexp.MustCompile(`[^a-z0-9 _-]`)
	var names []string
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		name := dropped.ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func TestEveryDependencyHasItsReason(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .+ \\|$")
	used := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(pages(t)["dependencies.md"], -1) {
		used[m[1]] = false
	}
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}{{"\n"}}{{join .TestImports "\n"}}{{"\n"}}{{join .XTestImports "\n"}}`, "../...").Output()
	require.NoError(t, err)
	for path := range strings.FieldsSeq(string(out)) {
		if host, _, _ := strings.Cut(path, "/"); !strings.Contains(host, ".") || strings.Contains(path, "/realtime-registry/") {
			continue
		}
		longest := ""
		for module := range used {
			if (path == module || strings.HasPrefix(path, module+"/")) && len(module) > len(longest) {
				longest = module
			}
		}
		require.NotEmpty(t, longest, "%s is imported, and not in dependencies.md", path)
		used[longest] = true
	}
	for module, imported := range used {
		require.True(t, imported, "%s is in dependencies.md, and not imported", module)
	}
}

// The walks of design §11 and §12 name each file with the functions that are called
// there, in this form: (`file.go`: `one`, `another`).
func TestTheWalksOfTheDesignNameFunctionsThatAreThere(t *testing.T) {
	design := pages(t)["design.md"]
	walks := design[strings.Index(design, "\n## 11 "):strings.Index(design, "\n## 13 ")]
	stops := regexp.MustCompile("`([\\w/.-]+\\.go)`((?:[:,] `\\w+`)+)").FindAllStringSubmatch(walks, -1)
	require.Greater(t, len(stops), 30)
	for _, stop := range stops {
		text, err := os.ReadFile(filepath.Join("..", stop[1]))
		require.NoError(t, err)
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(stop[2], -1) {
			require.Regexp(t, `(?m)^func (\([^)]+\) )?`+name[1]+`[\[(]`, string(text), "%s in %s", name[1], stop[1])
		}
	}
}
