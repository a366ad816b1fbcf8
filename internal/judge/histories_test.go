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
	h.add(judge.Record{Type: judge.Run, Seed: 7, Must: must, Bounds: &judge.Bounds{MaxStaleness: 2000, Answer: 6000, Settle: 60_000, Notice: 45_000, Guard: 3000}})
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

func deletion(id, thread string) string {
	return event(id, "nexus.thread.deleted.v1", fmt.Sprintf(`{"thread_id":%q}`, thread))
}

// tombstone is what an archive has of a deletion.
func tombstone(second, thread string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"deleted/thread__%s","source":"registry","type":"nexus.thread.deleted.v1","time":"2024-01-01T00:00:0%sZ","data":{"thread_id":%q}}`, thread, second, thread)
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

// deleted is deletions of a thread, one after the other.
func (h *history) deleted(thread string, times ...string) {
	for i, at := range times {
		h.published(fmt.Sprint("d", i), 40, deletion(at, thread))
	}
}

// erased is the erasure of a tenant from a second on, for twenty seconds.
func (h *history) erased(tenant string, from int64) {
	h.add(judge.Record{Type: judge.Operator, Kind: judge.Erase, Tenant: tenant, Name: "t_erased-0", At: from * second, Until: (from + 20) * second})
}

// stream is a guarded stream of th_1 to t_a, and what comes of it.
func (h *history) stream(all ...judge.Record) {
	h.add(judge.Record{Type: judge.Stream, Name: "s", Of: "transport-0", Tenant: "t_a", Resource: "thread/th_1", At: 3 * second, Until: 4 * second, Status: 200})
	for _, r := range all {
		r.Name = "s"
		h.add(r)
	}
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
