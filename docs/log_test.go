package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A page that sends somebody to a line of the log, as WARN *what it says*, quotes
// a text that the code has, and the level at which it is written.
func TestThePagesQuoteTheLogAsItIsWritten(t *testing.T) {
	written := texts(t)
	mention := regexp.MustCompile(`\b(DEBUG|INFO|WARN|ERROR)s? \*([^*]+)\*`)
	mentions := 0
	for file, text := range pages(t) {
		for _, m := range mention.FindAllStringSubmatch(text, -1) {
			levels := map[string]bool{}
			for said, at := range written {
				if strings.Contains(said, m[2]) {
					for level := range at {
						levels[level] = true
					}
				}
			}
			require.NotEmpty(t, levels, "%s quotes %q, which nothing says", file, m[2])
			require.True(t, levels[m[1]] || levels[""], "%s says that %q is %s: %v", file, m[2], m[1], levels)
			mentions++
		}
	}
	require.Greater(t, mentions, 10)
}

// texts returns the strings that the code passes to functions, with the levels at
// which they are logged: an empty one if the call does not say.
func texts(t *testing.T) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	require.NoError(t, filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for _, argument := range call.Args {
				if l, ok := argument.(*ast.BasicLit); ok && l.Kind == token.STRING {
					text, err := strconv.Unquote(l.Value)
					require.NoError(t, err)
					if all[text] == nil {
						all[text] = map[string]bool{}
					}
					all[text][level(call)] = true
				}
			}
			return true
		})
		return nil
	}))
	return all
}

// level is the one at which a call writes to the log, as far as it can be seen.
func level(call *ast.CallExpr) string {
	names := map[string]string{"Debug": "DEBUG", "Info": "INFO", "Warn": "WARN", "Error": "ERROR"}
	if f, ok := call.Fun.(*ast.SelectorExpr); ok {
		if l := names[strings.TrimSuffix(f.Sel.Name, "Context")]; l != "" {
			return l
		}
	}
	for _, argument := range call.Args {
		if s, ok := argument.(*ast.SelectorExpr); ok {
			if l := names[strings.TrimPrefix(s.Sel.Name, "Level")]; l != "" && strings.HasPrefix(s.Sel.Name, "Level") {
				return l
			}
		}
	}
	return ""
}
