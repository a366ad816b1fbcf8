package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/licenses"
)

// version is set by the linker if a build has more than the module's build
// information.
var version string

// build describes what this program was built from.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

func (b build) String() string {
	return fmt.Sprintf("%s (commit %s, %s)", b.Version, b.Commit, b.Go)
}

func buildVersion() build {
	b := build{Version: version, Commit: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+changes"
		}
	}
	b.Commit += modified
	return b
}

var versionCommand = command{
	Name:    "version",
	Summary: "print the version, the commit and the Go version",
	Details: "Prints what this program was built from, on one line; with --licenses, the\n" +
		"licences and notices of everything that is linked into it.",
	Examples: []string{"registry-worker version", "registry-worker version --licenses | less"},
	Groups:   []config.Group{config.VersionGroup},
	Run: func(_ context.Context, in *invocation) error {
		if in.Config.Licenses {
			_, err := fmt.Fprint(in.Stdout, licenses.Text)
			return err
		}
		_, err := fmt.Fprintf(in.Stdout, "%s %s\n", programName, buildVersion())
		return err
	},
}
