package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
)

// A file that names resources names valid ones, each once, or is refused by the line.
func FuzzNames(f *testing.F) {
	for _, text := range []string{"thread/th_1\ncanvas/cv_1\n", "thread__th_1\r\n# no\n\n thread/th_1 \n", "\ufeffthread/th_1", "thread/", "thread/a b", "media/x", "", "\x00", strings.Repeat("x", 70_000)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "names")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		names, err := (&invocation{}).readNames(t.Context(), file)
		if err != nil {
			return
		}
		seen := map[registry.Resource]bool{}
		for _, r := range names {
			require.NoError(t, r.Validate())
			require.False(t, seen[r])
			seen[r] = true
		}
		require.NotEmpty(t, names)
	})
}

// A plan from a file names two tenants, and is for the flags that were given; or it is
// refused.
func FuzzPlans(f *testing.F) {
	f.Add([]byte(`{"from":"t_a","to":"t_b","fingerprint":"x"}`), "", "")
	f.Add([]byte(`{"from":"t_a","to":"t_b","fingerprint":"x","kind":"canvas"}`), "t_c", "")
	f.Add([]byte(`{"from":"T","to":"","fingerprint":"x"}`), "", "t_b")
	f.Add([]byte(`{"from":"t_a","to":"t_b"}`), "", "")
	f.Add([]byte(`null`), "", "")
	f.Add([]byte(`{`), "", "")
	f.Fuzz(func(t *testing.T, text []byte, from, to string) {
		file := filepath.Join(t.TempDir(), "plan.json")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		w := wish{From: from, To: to, Plan: file}
		if w.readPlan() != nil {
			return
		}
		require.NoError(t, registry.ValidateTenant(w.From))
		require.NoError(t, registry.ValidateTenant(w.To))
		require.Contains(t, []string{"", w.From}, from)
		require.Contains(t, []string{"", w.To}, to)
	})
}

// Any word of a command line is one of ours, or is refused with the way to help; it
// never begins to do something.
func FuzzCommandLines(f *testing.F) {
	for _, line := range []string{"config\x00--streams\x003", "config\x00--streams=3\x00x", "help\x00moves\x00start", "--version", "config\x00--", "config\x00-h", "config\x00--\xff", "version\x00--licenses=maybe", "help\x00\x1b[31m", "config\x00--project", "config\x00--listen\x00=\n", "man", "completion\x00tcsh"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\x00")
		switch args[0] {
		case "config", "help", "version":
		default:
			args = append([]string{"config"}, args...)
		}
		for _, arg := range args {
			if strings.Contains(arg, "/") {
				return // a file of this machine
			}
		}
		r := call(t, nil, args...)
		require.Contains(t, []int{exitDone, exitUsage}, r.code, r.stderr)
		if r.code == exitUsage {
			require.NotEmpty(t, r.stderr)
			require.NotContains(t, r.stderr, "\x1b")
		}
	})
}
