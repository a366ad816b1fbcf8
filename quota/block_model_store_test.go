package quota

import (
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// What the model's store does, and who else writes its documents.

func (m *model) execute(c *pending) {
	c.executed = true
	if c.part != 0 {
		m.executeOfPart(c)
		return
	}
	if c.kind == load {
		c.answer.snapshot = limits.Snapshot{Window: m.document, Version: m.version, ReadTime: m.now}
		return
	}
	if m.version != c.since {
		c.answer.err = limits.ErrConflict
		return
	}
	m.store(c.window)
	c.answer.receipt = limits.Receipt{Version: m.version, CommitTime: m.now}
}

func (m *model) executeOfPart(c *pending) {
	d := m.parts[c.part]
	if d == nil {
		d = &partDocument{version: limits.Absent}
		m.parts[c.part] = d
	}
	switch {
	case c.kind == load:
		c.answer.snapshot = limits.Snapshot{Window: d.window, Version: d.version, ReadTime: m.now}
	case d.version != c.since:
		c.answer.err = limits.ErrConflict
	default:
		require.LessOrEqual(m.t, c.window.Count, c.window.Limit)
		require.GreaterOrEqual(m.t, c.window.LastReset, d.window.LastReset, "a part does not go back to an earlier window")
		m.versions++
		d.window, d.version = c.window, m.versions
		c.answer.receipt = limits.Receipt{Version: d.version, CommitTime: m.now}
	}
}

func (m *model) store(w limits.Window) {
	m.versions++
	m.document, m.version = w, m.versions
	if n := len(m.seen); !m.reset && n > 0 && m.seen[n-1].ID() != w.ID() {
		before := m.seen[n-1]
		require.LessOrEqual(m.t, before.Left(time.UnixMicro(int64(w.LastReset*1e6+0.5))), time.Duration(0), "a window begins when the last one has ended")
	}
	m.seen = append(m.seen, w)
	if limit, ok := m.limits[w.ID()]; ok && !m.reset {
		require.Equal(m.t, limit, w.Limit, "a window keeps its limit")
	}
	m.limits[w.ID()] = max(w.Limit, m.limits[w.ID()])
}

// putAside is the write of a process beyond those of the model, which puts units
// aside for parts, or for more of each.
func (m *model) putAside() {
	w := m.document.At(m.now, m.policy)
	number := rapid.Int64Range(1, 3).Draw(m.t, "parts")
	if w.Sharing.Parts > 0 {
		number = w.Sharing.Parts
	}
	each := rapid.Int64Range(1, 5).Draw(m.t, "units of each")
	if m.version == limits.Absent || w.Count+number*each > w.Limit {
		return
	}
	w.Sharing.Writes++
	w.Sharing.Processes = max(w.Sharing.Processes, rapid.Int64Range(1, 10).Draw(m.t, "processes"))
	w.Sharing.Parts, w.Sharing.PartLimit, w.Count = number, w.Sharing.PartLimit+each, w.Count+number*each
	m.store(w)
}

// oldRelease is a process that knows nothing of sharing: it reserves one unit and
// spends it at once. What it does not know it leaves where it is, and a new window
// has a Sharing of another one then, which is none.
func (m *model) oldRelease() {
	w := m.document.At(m.now, m.policy)
	if m.version == limits.Absent || w.Count >= w.Limit {
		return
	}
	w.Count++
	m.store(w)
	m.admitted[w.ID()]++
	require.LessOrEqual(m.t, m.admitted[w.ID()], m.limits[w.ID()], "admitted in window %v, by the older release", w.ID())
}

// interfere changes the policy, resets as an operator does, or writes as the
// Python service does.
func (m *model) interfere(plain bool) {
	m.policy.Limit = rapid.Int64Range(1, 30).Draw(m.t, "limit")
	m.policy.Window = time.Duration(rapid.IntRange(1, 60).Draw(m.t, "seconds")) * time.Second
	if !plain {
		return
	}
	m.reset = true
	w := m.document.Restarted(m.now)
	w.Length, w.Limit = m.policy.Window, m.policy.Limit
	m.store(w)
	for _, p := range m.processes {
		if p.generation != w.Generation && rapid.Bool().Draw(m.t, "heard") {
			p.forget()
		}
	}
}
