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
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
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

// archiveOf writes events, and lines that are none, to a file.
func archiveOf(t *testing.T, lines ...any) string {
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
		archived.NewRetracted("//nexus", "m103", "ops", "", time.Unix(600, 0)),
		archived.NewAsserted("t_p", events.ResourceRef{Kind: "thread", ID: "th-6"}, time.Unix(700, 0)),
	)
}

func run(t *testing.T, s consumer.Store, file string, change ...func(*replay.Options)) (replay.Counts, []replay.Refusal, error) {
	t.Helper()
	var refused []replay.Refusal
	o := replay.Options{Rate: governor.Unlimited, Batch: 7, RetryFor: time.Millisecond, Retractions: true, Assertions: true,
		Refused: func(r replay.Refusal) error { refused = append(refused, r); return nil }}
	for _, c := range change {
		c(&o)
	}
	counts, err := replay.Run(t.Context(), s, open(t, file), o)
	return counts, refused, err
}

func export(t *testing.T, s ownership.Store) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, s.Export(t.Context(), func(r ownership.Record, l *ownership.Ledger) error {
		fmt.Fprintln(&b, r.Document, r.History.Owner(l), r.History)
		return nil
	}))
	return b.String()
}

func TestReplayAppliesWhatTheWorkerWouldAndCountsIt(t *testing.T) {
	s, file := memregistry.New(), archiveOf(t, mixture()...)
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
		require.Equal(t, want, snapshot.Records[i].History.Owner(snapshot.Ledger))
	}

	before := export(t, s)
	again, _, err := run(t, s, file)
	require.NoError(t, err)
	require.Zero(t, again.Changing(), "%v", again)
	require.Equal(t, before, export(t, s))
}

func TestADryRunCountsWhatReplayWouldAndWritesNothing(t *testing.T) {
	s, file := memregistry.New(), archiveOf(t, mixture()...)
	dry := func() (replay.Counts, replay.Effect) {
		d, err := replay.NewDryRun(t.Context(), s)
		require.NoError(t, err)
		counts, _, err := run(t, d, file)
		require.NoError(t, err)
		effect, err := d.Effect(3)
		require.NoError(t, err)
		require.NoError(t, d.Close())
		return counts, effect
	}
	counts, effect := dry()
	require.Empty(t, export(t, s))
	require.Equal(t, 40, effect.Registered[registry.Thread])
	require.Empty(t, effect.Moved)
	require.Len(t, effect.RegisteredSample, 3)
	require.Equal(t, replay.OwnerChange{Resource: registry.Resource{Kind: registry.Thread, ID: "th-0"}, To: "t_c"}, effect.RegisteredSample[0])
	require.Len(t, effect.TenantMoves, 1)

	half := mixture()[:20]
	_, _, err := run(t, s, archiveOf(t, half...))
	require.NoError(t, err)
	_, effect = dry()
	require.Equal(t, 20, effect.Registered[registry.Thread])
	require.Equal(t, 20, effect.Moved[registry.Thread])
	require.Equal(t, replay.OwnerChange{Resource: registry.Resource{Kind: registry.Thread, ID: "th-0"}, From: "t_a", To: "t_c"}, effect.Moves[0])

	s = memregistry.New()
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
	ownership.Store
	after int32
	calls atomic.Int32
}

func (f *failing) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	if f.calls.Add(1) <= f.after {
		return f.Store.Apply(ctx, changes)
	}
	outcomes := make([]ownership.Outcome, len(changes))
	for i := range outcomes {
		outcomes[i] = ownership.Outcome{Kind: ownership.Failed, Err: registry.ErrUnavailable}
	}
	return outcomes
}

func TestAReplayThatEndedGoesOnBehindItsCheckpoint(t *testing.T) {
	whole, file := memregistry.New(), archiveOf(t, mixture()...)
	want, _, err := run(t, whole, file)
	require.NoError(t, err)
	for calls := range int32(8) {
		s := memregistry.New()
		path := filepath.Join(t.TempDir(), "checkpoint")
		attempt := func(s ownership.Store) (replay.Counts, error) {
			f, resume, err := replay.OpenFile(path, subject(file))
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

// What fails when all lines are applied (the file of refused lines cannot be
// closed) leaves the last checkpoint, at the last line.
func TestACheckpointAtTheLastLineIsGoneOnWith(t *testing.T) {
	s, file := memregistry.New(), archiveOf(t, mixture()...)
	var last replay.Checkpoint
	want, _, err := run(t, s, file, func(o *replay.Options) { o.Save = func(c replay.Checkpoint) error { last = c; return nil } })
	require.NoError(t, err)
	counts, _, err := run(t, s, file, func(o *replay.Options) { o.Resume = last })
	require.NoError(t, err)
	require.Equal(t, want, counts)
}

func subject(files ...string) replay.Subject {
	return replay.Subject{Target: "project p, database d, production", Files: files, Options: "no options"}
}

func TestACheckpointIsOfItsSubjectOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	f, at, err := replay.OpenFile(path, subject("a"))
	require.NoError(t, err)
	require.Zero(t, at)
	want := replay.Checkpoint{Position: replay.Position{File: "a", Line: 1}, Digest: "d", Counts: replay.Counts{}}
	require.NoError(t, f.Save(want))
	_, at, err = replay.OpenFile(path, subject("a"))
	require.NoError(t, err)
	require.Equal(t, want, at)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	for part, change := range map[string]func(*replay.Subject){
		"project p, database d, production, and this one is to project q": func(s *replay.Subject) { s.Target = "project q" },
		`of ["a"], and this one is of ["a" "a"]`:                          func(s *replay.Subject) { s.Files = []string{"a", "a"} },
		"with no options, and this one is with retractions":               func(s *replay.Subject) { s.Options = "retractions" },
	} {
		other := subject("a")
		change(&other)
		_, _, err = replay.OpenFile(path, other)
		require.ErrorContains(t, err, part)
		require.ErrorContains(t, err, path)
	}
	require.NoError(t, f.Remove())
	require.NoError(t, f.Remove())

	for _, of := range []string{
		`{"archive":[{"name":"-","size":0,"begins":""}],"position":{"file":"-","line":15},"counts":{"thread created":{"applied":15}}}`, "{}", "null",
	} {
		require.NoError(t, os.WriteFile(path, []byte(of), 0o600))
		_, _, err = replay.OpenFile(path, subject("-"))
		require.ErrorContains(t, err, "does not say what it is of")
	}
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, _, err = replay.OpenFile(path, subject("-"))
	require.ErrorContains(t, err, "it is none")
	_, _, err = replay.OpenFile(t.TempDir(), subject("-"))
	require.ErrorContains(t, err, "want a regular file")
}

// What is skipped is what was applied, or nothing is: whatever of it changed, in
// whichever file, also of a stream that nobody can look at twice.
func TestWhatIsSkippedIsProvedToBeWhatWasApplied(t *testing.T) {
	var lines []any
	for i := range 50 {
		lines = append(lines, created(i, "t_a"))
	}
	first, second := archiveOf(t, lines[:20]...), archiveOf(t, lines[20:]...)
	var at replay.Checkpoint
	stop := errors.New("stop")
	_, err := replay.Run(t.Context(), memregistry.New(), open(t, first, second), replay.Options{Rate: governor.Unlimited, Batch: 7, Appliers: 1,
		Save:    func(c replay.Checkpoint) error { at = c; return nil },
		Refused: func(replay.Refusal) error { return stop },
	})
	require.NoError(t, err)
	at.Position = replay.Position{File: second, Line: 22}
	digestOf := func(files ...string) string {
		r := open(t, files...)
		for line, err := range r.Lines(t.Context()) {
			require.NoError(t, err)
			if line.File == second && line.Number == 22 {
				return r.Digest()
			}
		}
		return ""
	}
	at.Digest = digestOf(first, second)
	resume := func() (*memregistry.Store, error) {
		s := memregistry.New()
		_, err := replay.Run(t.Context(), s, open(t, first, second), replay.Options{Rate: governor.Unlimited, Resume: at})
		return s, err
	}
	s, err := resume()
	require.NoError(t, err)
	require.Equal(t, 8, strings.Count(export(t, s), "\n"), "what was behind it")

	was := func(name string) []byte { text, err := os.ReadFile(name); require.NoError(t, err); return text }
	for _, changed := range []struct{ name, from string }{
		{first, archiveOf(t, append([]any{created(0, "t_b")}, lines[1:20]...)...)},
		{second, archiveOf(t, append(append([]any{}, lines[20:30]...), append([]any{created(30, "t_b")}, lines[31:]...)...)...)},
	} {
		before := was(changed.name)
		require.NoError(t, os.WriteFile(changed.name, was(changed.from), 0o600))
		s, err := resume()
		require.ErrorContains(t, err, "is not what was applied")
		require.Empty(t, export(t, s))
		require.NoError(t, os.WriteFile(changed.name, before, 0o600))
	}

	_, _, err = run(t, memregistry.New(), archiveOf(t, created(1, "t_a")), func(o *replay.Options) {
		o.Resume.Position = replay.Position{File: "x", Line: 7}
	})
	require.ErrorContains(t, err, "x:7")
}

func TestRetractionsAndPlainSetsAreAppliedWhereAskedForOnly(t *testing.T) {
	s, file := memregistry.New(), archiveOf(t, mixture()...)
	_, refused, err := run(t, s, file, func(o *replay.Options) { o.Retractions, o.Assertions = false, false })
	require.NoError(t, err)
	details := map[string]events.Reason{}
	for _, r := range refused {
		require.NotEmpty(t, r.Text, "it can be replayed from the notes")
		if r.Reason == replay.NotAsked {
			details[r.Detail] = r.Reason
		}
	}
	require.Equal(t, map[string]events.Reason{
		"the retraction of a move: --with-retractions applies it": replay.NotAsked,
		"a plain set: --with-assertions applies it":               replay.NotAsked,
	}, details)
	counts, _, err := run(t, s, file)
	require.NoError(t, err)
	require.Equal(t, 2, counts.Of(handlers.Applied), "they are all that was left out")
}

func TestWhatALineDisplacedIsNamed(t *testing.T) {
	s := memregistry.New()
	_, _, err := run(t, s, archiveOf(t, created(5, "t_prod"), created(6, "t_prod")))
	require.NoError(t, err)
	earlier := events.Event{ID: "staging", Source: "//nexus", Time: time.Unix(1, 0).UTC(), Data: events.ThreadCreated{TenantID: "t_staging", ThreadID: "th-5"}}
	file := archiveOf(t, created(6, "t_prod"), earlier)
	for _, want := range []int{1, 0} { // once, and not again
		var named []replay.Displaced
		_, _, err = run(t, s, file, func(o *replay.Options) {
			o.Displaced = func(d replay.Displaced) error { named = append(named, d); return nil }
		})
		require.NoError(t, err)
		require.Len(t, named, want)
		for _, d := range named {
			require.Equal(t, replay.Position{File: file, Line: 2}, d.At)
			require.Equal(t, registry.Resource{Kind: registry.Thread, ID: "th-5"}, d.Resource)
			require.Equal(t, "t_prod", d.Entry.Tenant)
		}
	}
}

// When it is replayed again, what has displaced it is a duplicate.
func TestWhatALineDisplacedIsNamedAlsoIfItsBatchIsGivenUp(t *testing.T) {
	store := memregistry.New()
	_, _, err := run(t, store, archiveOf(t, created(5, "t_prod")))
	require.NoError(t, err)
	earlier := events.Event{ID: "staging", Source: "//nexus", Time: time.Unix(1, 0).UTC(), Data: events.ThreadCreated{TenantID: "t_staging", ThreadID: "th-5"}}
	var named []replay.Displaced
	_, _, err = run(t, partly{store, "th-6"}, archiveOf(t, earlier, created(6, "t_prod")), func(o *replay.Options) {
		o.Displaced = func(d replay.Displaced) error { named = append(named, d); return nil }
	})
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.Len(t, named, 1)
	require.Equal(t, "t_prod", named[0].Entry.Tenant)
}

// partly fails for one resource.
type partly struct {
	ownership.Store
	fails string
}

func (p partly) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	var outcomes []ownership.Outcome
	for _, c := range changes {
		if c.Resource.ID == p.fails {
			outcomes = append(outcomes, ownership.Outcome{Kind: ownership.Failed, Err: registry.ErrUnavailable})
			continue
		}
		outcomes = append(outcomes, p.Store.Apply(ctx, []ownership.Change{c})...)
	}
	return outcomes
}

func TestAFailureThatPassesIsNoFailure(t *testing.T) {
	s := &flaky{Store: memregistry.New()}
	counts, _, err := run(t, s, archiveOf(t, mixture()...), func(o *replay.Options) { o.RetryFor = time.Minute })
	require.NoError(t, err)
	require.Equal(t, 2, counts.Of(handlers.Refused))
	require.Positive(t, s.failures.Load())
}

func TestAReplayThatMustNotWriteSaysSoAtOnce(t *testing.T) {
	s := memregistry.New()
	storetest.Outside{DB: s.DB()}.SetHead("min_writer", ownership.Format+1)
	_, _, err := run(t, s, archiveOf(t, mixture()...), func(o *replay.Options) { o.RetryFor = time.Hour })
	require.ErrorIs(t, err, registry.ErrIncompatible)
}

// flaky fails the first call.
type flaky struct {
	ownership.Store
	failures atomic.Int32
}

func (f *flaky) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	if f.failures.Load() == 0 {
		f.failures.Add(1)
		return (&failing{Store: f.Store}).Apply(ctx, changes)
	}
	return f.Store.Apply(ctx, changes)
}

func TestAnErrorOfTheReaderOrOfTheNotesEndsTheReplay(t *testing.T) {
	name := filepath.Join(t.TempDir(), "cut.gz")
	require.NoError(t, os.WriteFile(name, []byte{0x1f, 0x8b, 8}, 0o600))
	_, _, err := run(t, memregistry.New(), name)
	require.ErrorContains(t, err, name)

	full := errors.New("disk full")
	_, _, err = run(t, memregistry.New(), archiveOf(t, "nonsense"), func(o *replay.Options) {
		o.Refused = func(replay.Refusal) error { return full }
	})
	require.ErrorIs(t, err, full)
	require.True(t, strings.Contains(err.Error(), ":1"), err)
}

func TestADryRunCountsWhatMovesOfTenantsDoToResourcesThatTheArchiveDoesNotName(t *testing.T) {
	s := memregistry.New()
	_, _, err := run(t, s, archiveOf(t, created(1, "t_a"), created(2, "t_a"), created(3, "t_a"), created(4, "t_b"), created(9, "t_x"),
		tenantMoved(50, "t_x", "t_y")))
	require.NoError(t, err)
	file := archiveOf(t, created(3, "t_a"), created(5, "t_a"), tenantMoved(100, "t_a", "t_b"), tenantMoved(2, "t_b", "t_c"),
		archived.NewRetracted("//nexus", "m50", "ops", "", time.Unix(600, 0)))
	dry := func() (replay.Effect, rewrite.Plan) {
		d, err := replay.NewDryRun(t.Context(), s)
		require.NoError(t, err)
		_, _, err = run(t, d, file)
		require.NoError(t, err)
		e, err := d.Effect(3)
		require.NoError(t, err)
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
		counts, err := replay.Run(t.Context(), memregistry.New(), lines, replay.Options{Rate: governor.Unlimited, MaxClockSkew: 5 * time.Minute})
		require.NoError(t, err)
		require.Equal(t, 3, counts.Of(handlers.Applied), "%v", counts)
	})
}

func TestACheckpointThatCannotBeWrittenIsToldAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nowhere", "checkpoint.json")
	_, _, err := replay.OpenFile(path, subject("-"))
	require.ErrorContains(t, err, "checkpoint "+path)
}
