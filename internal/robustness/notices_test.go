//go:build proofs

package robustness

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// A run of a program without a rule must find that it is missing.
func TestProofThatRobustnessNoticesWhatIsLeftOut(t *testing.T) {
	for rule, c := range map[string]struct {
		edit  emulatortest.Edit
		found []string // any of them
		lasts time.Duration
	}{
		"a message is acknowledged after its commit": {emulatortest.Edit{
			File: "internal/consumer/apply.go",
			Old:  "\tc.applier.apply(c.killed, inner, l)\n",
			New:  "\tfor _, w := range works {\n\t\tc.settle(w, handlers.Result{Outcome: handlers.Applied})\n\t}\n\tc.applier.apply(c.killed, inner, l)\n",
		}, []string{"no event is lost"}, 45 * time.Second},
		"a refused message is acknowledged after its dead letter was confirmed": {emulatortest.Edit{
			File: "internal/consumer/pubsub.go",
			Old:  "if _, err := p.deadLetters.Publish(ctx, message).Get(ctx); err != nil {",
			New:  "if p.deadLetters.Publish(ctx, message); ctx.Err() != nil {\n\t\terr := ctx.Err()",
		}, []string{"what can never succeed is dead-lettered", "no event is lost"}, 45 * time.Second},
		"an answer from memory is certified": {emulatortest.Edit{
			File: "registry/verifier/internal/certified/owns.go",
			Old:  "if !cert.valid(now, c.certifier.maxStaleness) {\n\t\treturn false, Uncertified\n\t}\n\ts.countHit",
			New:  "s.countHit",
		}, []string{"no check is answered yes for longer than MaxStaleness after a loss"}, 2 * time.Minute},
		"a watch certifies no more than its certificate": {emulatortest.Edit{
			File: "registry/verifier/next.go",
			Old:  "news.Certified, news.Age = true, age",
			New:  "news.Certified, news.Age = true, 0",
		}, []string{"what a watch certifies has been told on it"}, 45 * time.Second},
	} {
		t.Run(rule, func(t *testing.T) {
			found := map[string]bool{}
			noticed := func() bool { return slices.ContainsFunc(c.found, func(rule string) bool { return found[rule] }) }
			for seed := uint64(1); seed <= 3 && !noticed(); seed++ {
				for _, v := range robustness(t, emulatortest.Edited(t, c.edit), seed, c.lasts).Violations {
					found[v.Rule] = true
				}
			}
			require.True(t, noticed(), "it was not noticed: %v", found)
		})
	}
}
