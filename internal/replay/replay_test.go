package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/events/archive"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memory"
	"github.com/northstar-engines/realtime-registry/registry/rewrite"
)

func created(n int, tenant string) events.Event {
	return events.Event{ID: fmt.Sprint("c", n), Source: "//nexus", Time: time.Unix(int64(n), 0).UTC(),
		Data: events.ThreadCreated{TenantID: tenant, ThreadID: fmt.Sprint("th-", n)}}
}

func tenantMoved(n int, from, to string, threads ...int) events.Event {
	data := events.TenantMoved{FromTenantID: from, ToTenantID: to}
	for _, t := range threads {
		data.Resources = append(data.Resources, events.ResourceRef{Kind: "thread", ID: fmt.Sprint("th-", t)})
	}
	return events.Event{ID: fmt.Sprint("m", n), Source: "//nexus", Time: time.Unix(int64(n), 0).UTC(), Data: data}
}

// archived writes events, and lines that are none, to a file.
func archived(t *testing.T, lines ...any) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "events.ndjson.gz")
	w, err := archive.Create(name, nil)
	require.NoError(t, err)
	for _, line := range lines {
		switch line := line.(type) {
		case events.Event:
			require.NoError(t, w.Write(line))
		case string:
			require.NoError(t, w.WriteLine([]byte(line)))
		}
	}
	require.NoError(t, w.Close())
	return name
}

func open(t *testing.T, files ...string) *archive.Reader {
	t.Helper()
	r, err := archive.Open(files, nil)
	require.NoError(t, err)
	return r
}

// mixture is an archive with one of everything.
func mixture() []any {
	var lines []any
	for i := range 40 {
		lines = append(lines, created(i, "t_a"))
	}
	return append(lines,
		created(3, "t_a"),
		`{"not": "an event"}`,
		events.Event{ID: "steal", Source: "//nexus", Time: time.Unix(500, 0), Data: events.ThreadCreated{TenantID: "t_thief", ThreadID: "th-4"}},
		tenantMoved(100, "t_a", "t_b", 1, 2),
		tenantMoved(101, "t_nobody", "t_b", 5),
		tenantMoved(102, "t_a", "t_c"),
		tenantMoved(103, "t_c", "t_d"),
		events.NewRetracted("//nexus", "m103", "ops", "", time.Unix(600, 0)),
		events.NewAsserted("t_p", events.ResourceRef{Kind: "thread", ID: "th-6"}, time.Unix(700, 0)),
	)
}

func run(t *testing.T, s replay.Store, file string, change ...func(*replay.Options)) (replay.Counts, []replay.Refusal, error) {
	t.Helper()
	var refused []replay.Refusal
	o := replay.Options{Rate: governor.Unlimited, Batch: 7, RetryFor: time.Millisecond,
		Refused: func(r replay.Refusal) error { refused = append(refused, r); return nil }}
	for _, c := range change {
		c(&o)
	}
	counts, err := replay.Run(t.Context(), s, open(t, file), o)
	return counts, refused, err
}

func export(t *testing.T, s registry.Store) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, s.Export(t.Context(), func(r registry.Record, l *registry.Ledger) error {
		fmt.Fprintln(&b, r.Document, r.Owner(l), r.History)
		return nil
	}))
	return b.String()
}

func TestReplayAppliesWhatTheWorkerWouldAndCountsIt(t *testing.T) {
	s, file := memory.New(), archived(t, mixture()...)
	counts, refused, err := run(t, s, file)
	require.NoError(t, err)
	require.Equal(t, replay.Counts{
		replay.Threads:       {handlers.Applied: 40, handlers.Duplicate: 1, handlers.Refused: 1},
		replay.NotUnderstood: {handlers.Refused: 1},
		replay.ResourceMoves: {handlers.Applied: 1, handlers.Inapplicable: 1},
		replay.TenantMoves:   {handlers.Applied: 2},
		replay.Retractions:   {handlers.Applied: 1},
		replay.PlainSets:     {handlers.Applied: 1},
	}, counts)
	require.Len(t, refused, 2)
	reasons := map[int]events.Reason{}
	for _, r := range refused {
		require.Equal(t, file, r.File)
		reasons[r.Line] = r.Reason
	}
	require.Equal(t, map[int]events.Reason{42: events.Malformed, 43: events.Conflict}, reasons)

	snapshot, err := s.Read(t.Context(), []registry.Resource{{Kind: registry.Thread, ID: "th-0"}, {Kind: registry.Thread, ID: "th-1"}, {Kind: registry.Thread, ID: "th-6"}})
	require.NoError(t, err)
	for i, want := range []string{"t_c", "t_b", "t_p"} {
		require.Equal(t, want, snapshot.Records[i].Owner(snapshot.Ledger))
	}

	before := export(t, s)
	again, _, err := run(t, s, file)
	require.NoError(t, err)
	require.Zero(t, again.Changing(), "%v", again)
	require.Equal(t, before, export(t, s))
}

func TestADryRunCountsWhatReplayWouldAndWritesNothing(t *testing.T) {
	s, file := memory.New(), archived(t, mixture()...)
	dry := func() (replay.Counts, replay.Effect) {
		d, err := replay.NewDryRun(t.Context(), s)
		require.NoError(t, err)
		counts, _, err := run(t, d, file)
		require.NoError(t, err)
		return counts, d.Effect(3)
	}
	counts, effect := dry()
	require.Empty(t, export(t, s))
	require.Equal(t, 40, effect.Registered[registry.Thread])
	require.Empty(t, effect.Moved)
	require.Len(t, effect.RegisteredSample, 3)
	require.Equal(t, replay.OwnerChange{Resource: registry.Resource{Kind: registry.Thread, ID: "th-0"}, To: "t_c"}, effect.RegisteredSample[0])
	require.Len(t, effect.TenantMoves, 1)

	half := mixture()[:20]
	_, _, err := run(t, s, archived(t, half...))
	require.NoError(t, err)
	_, effect = dry()
	require.Equal(t, 20, effect.Registered[registry.Thread])
	require.Equal(t, 20, effect.Moved[registry.Thread])
	require.Equal(t, replay.OwnerChange{Resource: registry.Resource{Kind: registry.Thread, ID: "th-0"}, From: "t_a", To: "t_c"}, effect.Moves[0])

	s = memory.New()
	real, _, err := run(t, s, file)
	require.NoError(t, err)
	require.Equal(t, real, counts)
	counts, effect = dry()
	require.Zero(t, counts.Changing())
	require.Empty(t, effect.Registered)
	require.Empty(t, effect.Moved)
	require.Empty(t, effect.TenantMoves)
}

// failing fails from the nth call on.
type failing struct {
	registry.Store
	after int32
	calls atomic.Int32
}

func (f *failing) Apply(ctx context.Context, changes []registry.Change) []registry.Outcome {
	if f.calls.Add(1) <= f.after {
		return f.Store.Apply(ctx, changes)
	}
	outcomes := make([]registry.Outcome, len(changes))
	for i := range outcomes {
		outcomes[i] = registry.Outcome{Kind: registry.Failed, Err: registry.ErrUnavailable}
	}
	return outcomes
}

func TestAReplayThatEndedGoesOnBehindItsCheckpoint(t *testing.T) {
	whole, file := memory.New(), archived(t, mixture()...)
	want, _, err := run(t, whole, file)
	require.NoError(t, err)
	for calls := range int32(8) {
		s := memory.New()
		path := filepath.Join(t.TempDir(), "checkpoint")
		attempt := func(s registry.Store) (replay.Counts, error) {
			f, resume, err := replay.OpenFile(path, []string{file})
			require.NoError(t, err)
			counts, _, err := run(t, s, file, func(o *replay.Options) { o.Resume, o.Save, o.Appliers = resume, f.Save, 2 })
			return counts, err
		}
		_, err := attempt(&failing{Store: s, after: calls})
		require.ErrorIs(t, err, registry.ErrUnavailable)
		counts, err := attempt(s)
		require.NoError(t, err)
		require.Equal(t, want.Total(), counts.Total(), "no line is left out or counted twice")
		require.Equal(t, export(t, whole), export(t, s), "after %d calls", calls)
	}
}

func TestACheckpointIsOfItsArchiveOnly(t *testing.T) {
	path, file := filepath.Join(t.TempDir(), "checkpoint"), archived(t, created(1, "t_a"))
	f, at, err := replay.OpenFile(path, []string{file})
	require.NoError(t, err)
	require.Zero(t, at)
	require.NoError(t, f.Save(replay.Checkpoint{Position: replay.Position{File: file, Line: 1}}))
	_, at, err = replay.OpenFile(path, []string{file})
	require.NoError(t, err)
	require.Equal(t, 1, at.Position.Line)
	_, _, err = replay.OpenFile(path, []string{file, file})
	require.ErrorContains(t, err, "another archive")
	require.NoError(t, os.WriteFile(file, []byte("longer than it was, for it is not packed any more"), 0o600))
	_, _, err = replay.OpenFile(path, []string{file})
	require.ErrorContains(t, err, "another archive")
	require.NoError(t, f.Remove())
	require.NoError(t, f.Remove())

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	f, _, err = replay.OpenFile(path, []string{file})
	require.NoError(t, err)
	require.NoError(t, f.Save(replay.Checkpoint{Position: replay.Position{File: file, Line: 1}}))
	text[len(text)/2]++
	require.NoError(t, os.WriteFile(file, text, 0o600))
	_, _, err = replay.OpenFile(path, []string{file})
	require.ErrorContains(t, err, "another archive", "of the same size")

	_, _, err = run(t, memory.New(), archived(t, created(1, "t_a")), func(o *replay.Options) {
		o.Resume.Position = replay.Position{File: "x", Line: 7}
	})
	require.ErrorContains(t, err, "x:7")
}

func TestAFailureThatPassesIsNoFailure(t *testing.T) {
	s := &flaky{Store: memory.New()}
	counts, _, err := run(t, s, archived(t, mixture()...), func(o *replay.Options) { o.RetryFor = time.Minute })
	require.NoError(t, err)
	require.Equal(t, 2, counts.Of(handlers.Refused))
	require.Positive(t, s.failures.Load())
}

// flaky fails the first call.
type flaky struct {
	registry.Store
	failures atomic.Int32
}

func (f *flaky) Apply(ctx context.Context, changes []registry.Change) []registry.Outcome {
	if f.failures.Load() == 0 {
		f.failures.Add(1)
		return (&failing{Store: f.Store}).Apply(ctx, changes)
	}
	return f.Store.Apply(ctx, changes)
}

func TestAnErrorOfTheReaderOrOfTheNotesEndsTheReplay(t *testing.T) {
	name := filepath.Join(t.TempDir(), "cut.gz")
	require.NoError(t, os.WriteFile(name, []byte{0x1f, 0x8b, 8}, 0o600))
	_, _, err := run(t, memory.New(), name)
	require.ErrorContains(t, err, name)

	full := errors.New("disk full")
	_, _, err = run(t, memory.New(), archived(t, "nonsense"), func(o *replay.Options) {
		o.Refused = func(replay.Refusal) error { return full }
	})
	require.ErrorIs(t, err, full)
	require.True(t, strings.Contains(err.Error(), ":1"), err)
}

func TestADryRunCountsWhatMovesOfTenantsDoToResourcesThatTheArchiveDoesNotName(t *testing.T) {
	s := memory.New()
	_, _, err := run(t, s, archived(t, created(1, "t_a"), created(2, "t_a"), created(3, "t_a"), created(4, "t_b"), created(9, "t_x"),
		tenantMoved(50, "t_x", "t_y")))
	require.NoError(t, err)
	file := archived(t, created(3, "t_a"), created(5, "t_a"), tenantMoved(100, "t_a", "t_b"), tenantMoved(2, "t_b", "t_c"),
		events.NewRetracted("//nexus", "m50", "ops", "", time.Unix(600, 0)))
	dry := func() (replay.Effect, rewrite.Plan) {
		d, err := replay.NewDryRun(t.Context(), s)
		require.NoError(t, err)
		_, _, err = run(t, d, file)
		require.NoError(t, err)
		e := d.Effect(3)
		plan, err := rewrite.Planner{Store: s}.Between(t.Context(), e.Before, e.After, d.Names)
		require.NoError(t, err)
		return e, plan
	}
	before := export(t, s)
	effect, plan := dry()
	require.Equal(t, before, export(t, s))
	require.Equal(t, []int{1, 1}, []int{effect.Registered[registry.Thread], effect.Moved[registry.Thread]}, "th-5 and th-3, which the archive names")
	require.Len(t, effect.TenantMoves, 3)
	require.EqualValues(t, 3, plan.Owners[registry.Thread])
	var changes []string
	for _, c := range plan.Sample {
		changes = append(changes, fmt.Sprintf("%s: %s to %s", c.Resource, c.From, c.To))
	}
	require.Equal(t, []string{"thread/th-1: t_a to t_b", "thread/th-2: t_a to t_b", "thread/th-9: t_y to t_x"}, changes,
		"by the times of the events: not th-4, which came after the move of t_b")

	_, _, err = run(t, s, file)
	require.NoError(t, err)
	effect, plan = dry()
	require.Empty(t, effect.TenantMoves)
	require.Zero(t, plan.Changing())
}

func TestTheLinesOfALongStreamAreHeldAgainstTheTimeAtWhichTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		go func() {
			for n := range 3 {
				e := created(n, "t_a")
				e.Time = time.Now()
				text, _ := json.Marshal(e)
				_, _ = out.Write(append(text, '\n'))
				time.Sleep(time.Hour)
			}
			out.Close()
		}()
		lines, err := archive.Open([]string{"-"}, in)
		require.NoError(t, err)
		counts, err := replay.Run(t.Context(), memory.New(), lines, replay.Options{Rate: governor.Unlimited, MaxClockSkew: 5 * time.Minute})
		require.NoError(t, err)
		require.Equal(t, 3, counts.Of(handlers.Applied), "%v", counts)
	})
}

func TestACheckpointThatCannotBeWrittenIsToldAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nowhere", "checkpoint.json")
	_, _, err := replay.OpenFile(path, []string{"-"})
	require.ErrorContains(t, err, "checkpoint "+path)
}
