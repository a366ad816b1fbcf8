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
		"a dead letter is confirmed before its message is acknowledged": {emulatortest.Edit{
			File: "internal/consumer/settle.go",
			Old:  "if err := c.bury(w, result.Refusal); err != nil {",
			New:  "if err := c.bury(w, result.Refusal); err != nil && what == nack {",
		}, "what can never succeed is dead-lettered"},
		"an answer from memory has a certificate that is good": {emulatortest.Edit{
			File: "registry/verifier/internal/certified/owns.go",
			Old:  "if !cert.valid(now, c.certifier.maxStaleness) {",
			New:  "if cert == nil {",
		}, "no check is answered yes for longer than MaxStaleness after a loss"},
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
