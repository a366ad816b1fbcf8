package events_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pure are the directories of the packages that this test holds to design §10.
var pure = []string{".", "../schemas", "../internal/envelope", "../internal/archived"}

func TestThePurePartsKnowNeitherPubSubNorFirestore(t *testing.T) {
	for _, dir := range pure {
		out, err := exec.Command("go", "list", "-deps", "./"+dir).Output()
		require.NoError(t, err)
		require.Contains(t, string(out), "encoding/json\n")
		for _, forbidden := range []string{"cloud.google.com/", "google.golang.org/", "net/http\n", "go.opentelemetry.io/"} {
			require.NotContains(t, string(out), forbidden, dir)
		}
	}
}

func TestThePurePartsDoNotAskTheClock(t *testing.T) {
	for _, dir := range pure {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			require.NoError(t, err)
			ast.Inspect(tree, func(node ast.Node) bool {
				call, ok := node.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				pkg, _ := call.X.(*ast.Ident)
				asks := pkg != nil && pkg.Name == "time" && (call.Sel.Name == "Now" || call.Sel.Name == "Since" || call.Sel.Name == "Until")
				require.False(t, asks, "%s asks the clock", file)
				return true
			})
		}
	}
}
