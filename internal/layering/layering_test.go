// Package layering holds the rules of design §10: who may import whom.
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

// Everything that these packages import, however far down, is free of the
// products, and they themselves of the clock.
var pure = []string{"registry", "internal/ownership", "events", "schemas", "handlers", "internal/reference"}

type goPackage struct {
	ImportPath, Dir string
	GoFiles, Deps   []string
}

func list(t *testing.T, patterns ...string) map[string]goPackage {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Deps"}, patterns...)...).Output()
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

func TestPurePackagesKnowNoProductAndNoClock(t *testing.T) {
	packages := list(t, module+"...")
	for _, name := range pure {
		p, ok := packages[name]
		require.True(t, ok, name)
		for _, d := range p.Deps {
			require.False(t, strings.HasPrefix(d, "cloud.google.com/") || strings.HasPrefix(d, "google.golang.org/grpc"), "%s imports %s", name, d)
		}
		for _, f := range p.GoFiles {
			requireNoClock(t, filepath.Join(p.Dir, f))
		}
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
				require.False(t, clock, "%s asks the clock", set.Position(call.Pos()))
			}
		}
		return true
	})
}

func TestChecksKnowNothingOfEvents(t *testing.T) {
	for name, p := range list(t, module+"registry/...") {
		if strings.HasSuffix(name, "test") || name == "internal/simulation" { // tests of the whole
			continue
		}
		for _, d := range p.Deps {
			require.False(t, strings.HasPrefix(d, module+"events") || strings.HasPrefix(d, module+"handlers"), "%s imports %s", name, d)
		}
	}
}

func TestADocumentDatabaseKnowsNothingOfWhatItHolds(t *testing.T) {
	for name, p := range list(t, module+"internal/docdb/...") {
		for _, d := range p.Deps {
			require.False(t, strings.HasPrefix(d, module) && !strings.HasPrefix(d, module+"internal/docdb"), "%s imports %s", name, d)
		}
	}
}

func TestOnlyTestsKnowTheTestingPackage(t *testing.T) {
	for name, p := range list(t, module+"cmd/...") {
		require.NotContains(t, p.Deps, "testing", "%s is shipped", name)
	}
}
