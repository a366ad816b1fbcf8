package judge_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// What is broken, the rule that must notice it, and how.
func TestEveryBrokenPromiseIsNoticed(t *testing.T) {
	watch := judge.Record{Type: judge.Watch, Name: "w", Of: "serve-0", At: 3 * second, Owned: []judge.Ownership{{Tenant: "t_a", Resource: "thread/th_1"}}}
	for name, c := range map[string]struct {
		rule string
		do   func(h *history)
	}{
		"an event is lost": {"no event is lost", func(h *history) {
			h.published("m3", 20, creation("3", "t_c", "th_3"))
		}},
		"a message is never settled": {"every message is settled in the end", func(h *history) {
			h.add(judge.Record{Type: judge.Published, Name: "m3", At: 20 * second, Until: 21 * second, Event: json.RawMessage(creation("3", "t_a", "th_1"))})
		}},
		"poison is swallowed": {"what can never succeed is dead-lettered", func(h *history) {
			h.add(judge.Record{Type: judge.Published, Name: "m3", At: second, Until: 2 * second, Want: "schema"}, judge.Record{Type: judge.Acknowledged, Name: "m3", At: 3 * second})
		}},
		"poison has another reason": {"a dead letter says why", func(h *history) {
			h.add(judge.Record{Type: judge.Published, Name: "m3", At: second, Until: 2 * second, Want: "schema"}, judge.Record{Type: judge.Acknowledged, Name: "m3", At: 3 * second},
				judge.Record{Type: judge.Letter, Name: "m3", Reason: "malformed"})
		}},
		"a good event is dead-lettered": {"nothing is dead-lettered that may succeed", func(h *history) {
			h.add(judge.Record{Type: judge.Letter, Name: "m1", Reason: "panic"})
		}},
		"what is applied is dead-lettered": {"what is applied is not dead-lettered", func(h *history) {
			h.add(judge.Record{Type: judge.Letter, Name: "m1", Reason: "conflict"})
		}},
		"a conflict with nothing": {"a conflict has another side", func(h *history) {
			h.published("m3", 20, creation("3", "t_c", "th_3"))
			h.add(judge.Record{Type: judge.Letter, Name: "m3", Reason: "conflict"})
		}},
		"a letter from nowhere": {"nothing is dead-lettered that was not published", func(h *history) {
			h.add(judge.Record{Type: judge.Letter, Name: "m9", Reason: "conflict"})
		}},
		"an owner from nowhere": {"the registry has what was asked of it", func(h *history) {
			h.archived(creation("3", "t_c", "th_3"))
			h.owned("th_3", "t_c")
		}},
		"another owner in the end": {"the export is the fold of what was asked", func(h *history) {
			h.published("m3", 20, creation("3", "t_c", "th_3"))
			h.archived(creation("3", "t_c", "th_3"))
			h.owned("th_3", "t_d")
		}},
		"no owner in the end": {"the export is the fold of the archive", func(h *history) {
			h.published("m3", 20, creation("3", "t_c", "th_3"))
			h.archived(creation("3", "t_c", "th_3"))
		}},
		"a check of what was lost": {"no check is answered yes for longer than MaxStaleness after a loss", func(h *history) {
			h.add(answer(judge.Check, "t_a", 14, 204))
		}},
		"a check before there was anything": {"no check is answered yes for longer than MaxStaleness after a loss", func(h *history) {
			h.add(answer(judge.Check, "t_a", 0, 204))
		}},
		"a refusal of what is owned": {"no check is refused of what the tenant owns", func(h *history) {
			h.add(answer(judge.Check, "t_a", 5, 404))
		}},
		"a claim that is undone": {"a claim that is answered 201 is kept", func(h *history) {
			h.add(judge.Record{Type: judge.Claim, By: "c", Of: "serve-0", Tenant: "t_c", Resource: "thread/th_3", At: second, Until: 2 * second, Status: 201})
		}},
		"two claims of one resource": {"claims of a resource are in one order", func(h *history) {
			h.add(
				judge.Record{Type: judge.Claim, By: "c", Of: "serve-0", Tenant: "t_c", Resource: "thread/th_3", At: second, Until: 2 * second, Status: 201},
				judge.Record{Type: judge.Claim, By: "d", Of: "serve-1", Tenant: "t_d", Resource: "thread/th_3", At: 3 * second, Until: 4 * second, Status: 201},
			)
			h.archived(claim("t_c", "th_3"))
			h.owned("th_3", "t_c")
		}},
		"a claim that a check does not see": {"claims of a resource are in one order", func(h *history) {
			h.add(
				judge.Record{Type: judge.Claim, By: "c", Of: "serve-0", Tenant: "t_c", Resource: "thread/th_3", At: second, Until: 2 * second, Status: 201},
				judge.Record{Type: judge.Check, By: "d", Of: "serve-1", Tenant: "t_c", Resource: "thread/th_3", At: 3 * second, Until: 4 * second, Status: 404},
			)
			h.archived(claim("t_c", "th_3"))
			h.owned("th_3", "t_c")
		}},
		"a claim that is not in the log": {"every claim that is answered 201 is in the log", func(h *history) {
			h.add(judge.Record{Type: judge.Claim, By: "c", Of: "serve-0", Tenant: "t_c", Resource: "thread/th_3", At: second, Until: 2 * second, Status: 201},
				judge.Record{Type: judge.Logged, Event: json.RawMessage(claim("t_d", "th_4"))})
			h.archived(claim("t_c", "th_3"))
		}},
		"a claim that is only in the log": {"the log has what is stored", func(h *history) {
			h.add(judge.Record{Type: judge.Logged, Event: json.RawMessage(claim("t_d", "th_4"))})
		}},
		"a retraction that is not in the log": {"every retraction is in the log", func(h *history) {
			h.add(judge.Record{Type: judge.Logged, Event: json.RawMessage(claim("t_d", "th_4"))},
				judge.Record{Type: judge.Operator, Kind: "retract", Source: "//t", ID: "9", At: second, Until: 2 * second})
		}},
		"a move of an operator that is not in the log": {"every move of an operator is in the log", func(h *history) {
			h.add(judge.Record{Type: judge.Logged, Event: json.RawMessage(claim("t_d", "th_4"))},
				judge.Record{Type: judge.Operator, Kind: "start", Source: "//t", ID: "9", At: second, Until: 2 * second})
		}},
		"a window over its limit": {"no window admits more than its limit", func(h *history) {
			h.add(judge.Record{Type: judge.Window, Tenant: "t_a", Action: "x", At: second, Until: 5 * second, N: 3})
			for i := range int64(4) {
				h.add(judge.Record{Type: judge.Take, By: "c", Of: "serve-0", Tenant: "t_a", Action: "x", N: 1, At: (2+i)*second/2 + second, Until: (2+i)*second/2 + second + 1, Status: 204})
			}
		}},
		"a certificate ahead of what is told": {"what a watch certifies has been told on it", func(h *history) {
			h.add(watch, judge.Record{Type: judge.State, Name: "w", At: 4 * second}, judge.Record{Type: judge.Certified, Name: "w", At: 13 * second, Since: 12 * second})
		}},
		"a watch that begins with what is lost": {"no watch begins with what the tenant has lost", func(h *history) {
			late := watch
			late.At = 13*second + 1
			h.add(late, judge.Record{Type: judge.State, Name: "w", At: 14 * second})
		}},
		"a request without an answer": {"every request is answered", func(h *history) {
			h.add(answer(judge.Check, "t_a", 5, 0))
		}},
		"an answer that is late": {"every answer comes within its bound", func(h *history) {
			r := answer(judge.Check, "t_a", 3, 204)
			r.Until = r.At + 7*second
			h.add(r)
		}},
		"an outage without a fault": {"nothing is unavailable after the trouble", func(h *history) {
			h.add(answer(judge.Check, "t_a", 200, 503))
		}},
		"a status that is not documented": {"answers are as they are documented", func(h *history) {
			h.add(answer(judge.Check, "t_a", 5, 500))
		}},
		"a server that is ready, and says that it is not": {"every health answer tells the truth", func(h *history) {
			h.add(judge.Record{Type: judge.Health, Of: "serve-0", Path: "/readyz", At: 5 * second, Until: 5*second + 1, Status: 503})
		}},
		"a worker that says that all is well": {"every health answer tells the truth", func(h *history) {
			h.add(judge.Record{Type: judge.Fault, Kind: judge.CutOff, Of: "worker-0", At: second, Until: 100 * second},
				judge.Record{Type: judge.Health, Of: "worker-0", Path: "/readyz", At: 60 * second, Until: 60*second + 1, Status: 200})
		}},
		"a process that ends by itself": {"no process ends by itself", func(h *history) {
			h.add(judge.Record{Type: judge.Fault, Kind: judge.Ended, Of: "worker-0", At: 5 * second, Until: 6 * second, Status: 1})
		}},
		"a deletion that is lost": {"no event is lost", func(h *history) {
			h.published("m3", 20, deletion("3", "th_1"))
		}},
		"a deleted thread that is owned in the end": {"the export is the fold of what was asked", func(h *history) {
			h.published("m3", 20, deletion("3", "th_1"))
			h.archived(tombstone("3", "th_1"))
		}},
		"a deletion that is not the earliest": {"of several deletions the earliest is kept", func(h *history) {
			h.deleted("th_3", "5", "3")
			h.archived(tombstone("5", "th_3"))
		}},
		"a check of what was deleted": {"no check is answered yes for longer than MaxStaleness after a loss", func(h *history) {
			h.deleted("th_1", "3")
			h.add(answer(judge.Check, "t_b", 44, 204))
		}},
		"a deletion that nobody published": {"nothing is deleted that nobody deleted", func(h *history) {
			h.archived(tombstone("3", "th_3"))
		}},
		"a name that an erasure left in the archive": {"an erased tenant is named nowhere", func(h *history) {
			h.erased("t_a", 20)
		}},
		"a name that an erasure left elsewhere": {"an erased tenant is named nowhere", func(h *history) {
			h.add(judge.Record{Type: judge.Named, Tenant: "t_a", Resource: "realtime_registry/thread__th_1"})
		}},
		"an erasure that cannot be ended": {"an erasure that has begun can be ended", func(h *history) {
			h.add(judge.Record{Type: judge.Operator, Kind: judge.Erase, Tenant: "t_a", At: 20 * second, Until: 21 * second, Status: 1})
		}},
		"what an erasure has left": {"what an erased tenant owned is deleted", func(h *history) {
			h.erased("t_b", 20)
		}},
		"what an erasure took from another tenant": {"nothing is deleted that nobody deleted", func(h *history) {
			h.published("m3", 15, creation("3", "t_c", "th_3"))
			h.erased("t_b", 20)
			h.archived(tombstone("5", "th_3"))
		}},
		"a check by an erased tenant": {"an erased tenant owns nothing", func(h *history) {
			h.erased("t_b", 20)
			h.add(answer(judge.Check, "t_b", 44, 204))
		}},
		"a claim by an erased tenant": {"an erased tenant owns nothing", func(h *history) {
			h.erased("t_b", 20)
			h.add(judge.Record{Type: judge.Claim, By: "c", Of: "serve-0", Tenant: "t_b", Resource: "thread/th_4", At: 41 * second, Until: 42 * second, Status: 201})
		}},
		"a stream that goes on after a loss": {"no guarded stream goes on for longer than its bound after a loss", func(h *history) {
			h.stream(judge.Record{Type: judge.Message, At: 15 * second})
		}},
		"a stream that is ended without a loss": {"no guarded stream is ended as lost that is the tenant's", func(h *history) {
			h.stream(judge.Record{Type: judge.StreamEnded, At: 8 * second, Reason: "ownership_lost"})
		}},
		"a stream that is refused to the owner": {"no stream is refused of what the tenant owns", func(h *history) {
			h.add(judge.Record{Type: judge.Stream, Name: "s", Of: "transport-0", Tenant: "t_a", Resource: "thread/th_1", At: 4 * second, Until: 5 * second, Status: 404})
		}},
		"a process that has grown": {"processes use what they used before the trouble", func(h *history) {
			h.add(judge.Record{Type: judge.Sample, Of: "serve-0", Kind: "before", Goroutines: 50}, judge.Record{Type: judge.Sample, Of: "serve-0", Kind: "after", Goroutines: 500})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := whole(t)
			c.do(h)
			var rules []string
			for _, v := range h.judge().Violations {
				rules = append(rules, v.Rule)
			}
			require.Contains(t, rules, c.rule)
		})
	}
}
