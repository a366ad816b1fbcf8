package events_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

func TestEveryReasonIsPublic(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "refuse.go", nil, 0)
	require.NoError(t, err)
	public := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.ValueSpec); ok {
			public += len(s.Names)
		}
		return true
	})
	require.Len(t, envelope.Reasons(), public)
}
