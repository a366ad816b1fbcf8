package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func printed(t *testing.T, files map[string]string) string {
	t.Helper()
	h, err := newHotReports()
	require.NoError(t, err)
	defer h.remove()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600))
	}
	var out strings.Builder
	require.NoError(t, h.print(&out))
	return out.String()
}

func TestWhatWouldHaveBeenHotIsNamedWithItsTestHottestFirst(t *testing.T) {
	require.Equal(t, `documents that were written faster than 5 a second for long, which Firestore would not take, in the fastest second:
    200/s  c/head  TestB
     30/s  c/d  TestA
indexes that grew at their end by more than 500 writes a second, in the fastest second:
    900/s  c.at  TestA
`, printed(t, map[string]string{
		"1.jsonl": `{"test":"TestA","documents":[{"name":"c/d","per_second":30}],"ranges":[{"name":"c.at","per_second":900}]}` + "\n",
		"2.jsonl": `{"test":"TestB","documents":[{"name":"c/head","per_second":200}]}` + "\n",
	}))
}

func TestNothingIsSaidWhereNothingWasHot(t *testing.T) { require.Empty(t, printed(t, nil)) }

func TestAReportOfManyIsBounded(t *testing.T) {
	var lines strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, `{"test":"T","documents":[{"name":"c/%d","per_second":%d}]}`+"\n", i, 100+i)
	}
	out := printed(t, map[string]string{"1.jsonl": lines.String()})
	require.Equal(t, 12, strings.Count(out, "\n"))
	require.Contains(t, out, "and 990 more")
}
