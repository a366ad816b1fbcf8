package judge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// history writes histories of a few seconds.
type history struct {
	t     *testing.T
	lines []string
}

const second = int64(time.Second)

func newHistory(t *testing.T, must ...string) *history {
	h := &history{t: t}
	h.add(judge.Record{Type: judge.Run, Seed: 7, Must: must, Bounds: &judge.Bounds{MaxStaleness: 2000, Answer: 6000, Settle: 60_000, Notice: 45_000}})
	return h
}

func (h *history) add(records ...judge.Record) {
	for _, r := range records {
		line, err := json.Marshal(r)
		require.NoError(h.t, err)
		h.lines = append(h.lines, string(line))
	}
}

func event(id, typ, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"//t","type":%q,"time":"2024-01-01T00:00:0%sZ","data":%s}`, id, typ, id, data)
}

func creation(id, tenant, thread string) string {
	return event(id, "nexus.thread.created.v1", fmt.Sprintf(`{"tenant_id":%q,"thread_id":%q}`, tenant, thread))
}

func move(id, from, to, thread string) string {
	return event(id, "nexus.tenant.moved.v1", fmt.Sprintf(`{"from_tenant_id":%q,"to_tenant_id":%q,"resources":[{"kind":"thread","id":%q}]}`, from, to, thread))
}

func claim(tenant, thread string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"thread__%s__%s","source":"registry","type":"registry.claimed.v1","time":"2024-01-01T00:00:09Z","data":{"tenant_id":%q,"resource":{"kind":"thread","id":%q}}}`, thread, tenant, tenant, thread)
}

// published is an event that is published at a second, and acknowledged in the next.
func (h *history) published(name string, at int64, event string) {
	h.add(
		judge.Record{Type: judge.Published, Name: name, At: at * second, Until: at*second + 1, Event: json.RawMessage(event)},
		judge.Record{Type: judge.Acknowledged, Name: name, At: (at + 1) * second},
	)
}

func (h *history) archived(events ...string) { h.lines = append(h.lines, events...) }

func (h *history) owned(thread, tenant string) {
	h.lines = append(h.lines, fmt.Sprintf(`{"kind":"thread","id":%q,"tenant_id":%q}`, thread, tenant))
}

func (h *history) calm() {
	h.add(judge.Record{Type: judge.Calm, At: 50 * second}, judge.Record{Type: judge.Settled, At: 55 * second})
}

func (h *history) judge() *judge.Verdict {
	file := filepath.Join(h.t.TempDir(), "history.ndjson")
	require.NoError(h.t, os.WriteFile(file, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600))
	read, err := judge.Read(context.Background(), []string{file}, nil)
	require.NoError(h.t, err)
	verdict, err := judge.Judge(read)
	require.NoError(h.t, err)
	return verdict
}

// whole is a history in which a thread is created, checked, and moved away.
func whole(t *testing.T) *history {
	h := newHistory(t)
	h.published("m1", 1, creation("1", "t_a", "th_1"))
	h.published("m2", 10, move("2", "t_a", "t_b", "th_1"))
	h.calm()
	h.archived(creation("1", "t_a", "th_1"), move("2", "t_a", "t_b", "th_1"))
	h.owned("th_1", "t_b")
	return h
}

func answer(typ judge.Type, tenant string, at int64, status int) judge.Record {
	return judge.Record{Type: typ, By: "c", Of: "serve-0", Tenant: tenant, Resource: "thread/th_1", At: at * second, Until: at*second + 1000, Status: status}
}

func TestAHistoryThatKeepsEveryPromiseIsGood(t *testing.T) {
	h := whole(t)
	h.add(
		answer(judge.Check, "t_a", 0, 404), answer(judge.Check, "t_a", 3, 204), answer(judge.Check, "t_b", 3, 404),
		answer(judge.Check, "t_a", 12, 204), // stale, within the bound
		answer(judge.Check, "t_b", 12, 204), answer(judge.Check, "t_a", 14, 404), answer(judge.Check, "t_a", 20, 503),
	)
	verdict := h.judge()
	require.Empty(t, verdict.Violations)
	require.True(t, verdict.Good())
	require.Equal(t, 3, verdict.Judged["yes"])
	require.Equal(t, 3, verdict.Judged["no"])
}

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
			late.At = 12 * second
			h.add(late, judge.Record{Type: judge.State, Name: "w", At: 13 * second})
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
