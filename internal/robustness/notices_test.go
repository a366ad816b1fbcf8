//go:build proofs

package robustness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// A run of a program without a rule must find that it is missing.
func TestProofThatRobustnessNoticesWhatIsLeftOut(t *testing.T) {
	for rule, c := range map[string]struct {
		edit  emulatortest.Edit
		found string
	}{
		"a message is acknowledged after its commit": {emulatortest.Edit{
			File: "internal/consumer/apply.go",
			Old:  "\tc.applier.apply(c.killed, inner, l)\n",
			New:  "\tfor _, w := range works {\n\t\tc.settle(w, handlers.Result{Outcome: handlers.Applied})\n\t}\n\tc.applier.apply(c.killed, inner, l)\n",
		}, "no event is lost"},
	} {
		t.Run(rule, func(t *testing.T) {
			found := map[string]bool{}
			for seed := uint64(1); seed <= 3 && !found[c.found]; seed++ {
				for _, v := range robustness(t, emulatortest.Edited(t, c.edit), seed, 45*time.Second).Violations {
					found[v.Rule] = true
				}
			}
			require.True(t, found[c.found], "it was not noticed: %v", found)
		})
	}
}
