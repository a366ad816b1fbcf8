// Package layering holds the rules of design §10: who may import whom, and what is
// public.
package layering

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/northstar-engines/realtime-registry/"

// pure are the packages that know neither a product nor the clock: times are
// arguments.
var pure = []string{"registry", "internal/ownership", "events", "internal/envelope", "internal/archived", "schemas", "handlers", "internal/reference"}

type goPackage struct {
	ImportPath, Name, Dir string
	GoFiles, Deps         []string
}

func list(t *testing.T, patterns ...string) map[string]goPackage {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Name,Dir,GoFiles,Deps"}, patterns...)...).Output()
	require.NoError(t, err)
	packages := map[string]goPackage{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else {
			require.NoError(t, err)
		}
		packages[strings.TrimPrefix(p.ImportPath, module)] = p
	}
}

// rule says what a group of packages must not import, however far down.
type rule struct {
	packages []string // names, or patterns that end with ...
	except   []string
	never    []string // beginnings of import paths
	why      string
}

var rules = []rule{
	{
		packages: pure,
		never:    []string{"cloud.google.com/", "google.golang.org/grpc"},
		why:      "the model is proven by properties over any input: a product in it could not be",
	},
	{
		packages: []string{"registry/...", "internal/ownership", "internal/regstore"},
		never:    []string{module + "events", module + "handlers"},
		why:      "a check must work, and be understood, without the events that fill the registry",
	},
	{
		packages: []string{"internal/docdb/..."},
		except:   []string{module + "internal/docdb", module + "internal/observe"},
		never:    []string{module},
		why:      "both databases are held to one suite, which must not depend on what is kept in them",
	},
	{
		packages: []string{"cmd/..."},
		never:    []string{"testing"},
		why:      "it is shipped, and the testing package adds flags and weight to a program",
	},
	{
		packages: []string{"registry", "registry/verifier/...", "quota", "quota/quotahttp", "events", "schemas"},
		never:    []string{module + "cmd", module + "emulator", "github.com/stretchr/testify", "pgregory.net/rapid"},
		why:      "users build these into their own programs, and get all that they import",
	},
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	for _, r := range rules {
		patterns := make([]string, len(r.packages))
		for i, name := range r.packages {
			patterns[i] = module + name
		}
		packages := list(t, patterns...)
		require.NotEmpty(t, packages, r.packages)
		for name, p := range packages {
			for _, d := range p.Deps {
				begins := func(path string) bool { return strings.HasPrefix(d, path) }
				require.False(t, slices.ContainsFunc(r.never, begins) && !slices.ContainsFunc(r.except, begins),
					"%s imports %s, which it must not: %s", name, d, r.why)
			}
		}
	}
}

func TestPurePackagesDoNotAskTheClock(t *testing.T) {
	for name, p := range list(t, module+"...") {
		if !slices.Contains(pure, name) {
			continue
		}
		for _, f := range p.GoFiles {
			requireNoClock(t, filepath.Join(p.Dir, f))
		}
	}
}

// A file that imports two packages of one name has to rename one.
func TestNoTwoPackagesHaveOneName(t *testing.T) {
	paths := map[string]string{}
	for path, p := range list(t, module+"...") {
		if p.Name == "main" || strings.HasSuffix(p.Name, "_test") || len(p.GoFiles) == 0 {
			continue
		}
		require.Empty(t, paths[p.Name], "%s has the name of another package: give it one of its own", path)
		paths[p.Name] = path
	}
}

func requireNoClock(t *testing.T, file string) {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, 0)
	require.NoError(t, err)
	ast.Inspect(parsed, func(n ast.Node) bool {
		if call, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := call.X.(*ast.Ident); ok && x.Name == "time" {
				clock := slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "NewTimer", "NewTicker", "Tick", "AfterFunc"}, call.Sel.Name)
				require.False(t, clock, "%s asks the clock: a fold by the clock could not be repeated", set.Position(call.Pos()))
			}
		}
		return true
	})
}
