package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// leaves are the commands that do something.
func leaves(all []command) (names []string) {
	for _, c := range all {
		if len(c.Sub) > 0 {
			names = append(names, leaves(c.Sub)...)
			continue
		}
		names = append(names, c.Name)
	}
	return names
}

// What writes says where, before anything else. A new command must say which of
// the two it is.
func TestEveryCommandThatWritesBeginsWithItsTarget(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.env = []string{"REGISTRY_COLLECTION_PREFIX=pre_", "FIRESTORE_DATABASE=(default)"}
	file := write(t, created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"), tenantMoved("m", "2024-01-02T00:00:00Z", "t_a", "t_b"))
	firestore := "project " + c.project.ID + ", database (default), prefix pre_, emulator at " + c.project.FirestoreHost
	pubsub := "project " + c.project.ID + ", emulator at " + c.project.PubSubHost
	writes := map[string]struct{ args, target string }{
		"provision":            {"", pubsub},
		"publish":              {file, pubsub},
		"replay":               {"--yes " + file, firestore},
		"moves retract":        {"m --yes", firestore},
		"moves resume":         {"m", firestore},
		"moves start":          {"--yes --unknown --from t_c --to t_d", firestore},
		"dead-letters redrive": {"--yes", pubsub},
		"dead-letters purge":   {"--yes", pubsub},
		"quota reset":          {"--yes t_a x", firestore},
		"upgrade":              {"--yes --rate unlimited", firestore},
		"recover":              {"--yes", firestore},
		"tenants erase":        {"--yes --unknown t_gone", firestore},
	}
	reads := []string{"check", "doctor", "inspect", "export", "verify", "moves list", "moves plan", "moves verify", "dead-letters list", "dead-letters count", "dead-letters history", "quota show", "config", "capacity", "verify-history", "version", "man"}
	services := []string{"run", "serve", "dev"} // they log it; dev names its emulators
	for _, name := range leaves(commands()) {
		if w, ok := writes[name]; ok {
			p := c.run(exitDone, append(strings.Fields(name), strings.Fields(w.args)...)...)
			require.Equal(t, "writing to "+w.target, p.Stderr.Lines()[0], name)
			continue
		}
		require.Contains(t, append(reads, services...), name, "does it write?")
	}
	p, _ := c.service("serve")
	require.Contains(t, p.Stderr.Lines()[0], `"msg":"target","project":"`+c.project.ID+`","database":"(default)","prefix":"pre_","emulator":"`+c.project.FirestoreHost)
}
