package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// LeaseJob takes the lease, and the first job of those that may be done, as a worker
// does that stores at once that it has it.
func LeaseJob(ctx context.Context, s ownership.Rewriter, holder string, lease time.Duration, except ...int64) (ownership.Job, error) {
	taken, err := s.TakeLease(ctx, ownership.Lease{Holder: holder, For: lease})
	if err != nil {
		return ownership.Job{}, err
	}
	jobs, err := s.Jobs(ctx, 0, 1, func(position int64) bool { return slices.Contains(except, position) })
	if err != nil {
		return ownership.Job{}, err
	}
	if len(jobs) == 0 {
		return ownership.Job{}, ownership.ErrNoJob
	}
	job := jobs[0]
	job.Now = taken.Now
	job.Entry.Rewriting = job.Entry.Rewriting.TakenUp(holder, taken.Now, job.Revision)
	return s.SaveJob(ctx, job)
}

// ReleaseLease lets another worker have the lease.
func ReleaseLease(ctx context.Context, s ownership.Rewriter, holder string) error {
	_, err := s.TakeLease(ctx, ownership.Lease{Holder: holder})
	return err
}

func claim(t *testing.T, s ownership.Rewriter, holder string) ownership.Job {
	t.Helper()
	job, err := LeaseJob(context.Background(), s, holder, time.Minute)
	require.NoError(t, err)
	require.Equal(t, ownership.RewritingRunning, job.Entry.Rewriting.State)
	require.Equal(t, holder, job.Entry.Rewriting.Holder)
	return job
}

func requireNoJob(t *testing.T, s ownership.Rewriter, holder string) {
	t.Helper()
	_, err := LeaseJob(context.Background(), s, holder, time.Minute)
	require.ErrorIs(t, err, ownership.ErrNoJob)
}

func save(t *testing.T, s ownership.Rewriter, job ownership.Job, change func(*ownership.Rewriting)) ownership.Job {
	t.Helper()
	change(&job.Entry.Rewriting)
	saved, err := s.SaveJob(context.Background(), job)
	require.NoError(t, err)
	return saved
}

func done(r *ownership.Rewriting) { r.State = ownership.RewritingDone }

func jobsAreQueued(t *testing.T, b Backend) {
	s := b.Open()
	requireNoJob(t, s, "w")
	apply(t, s, tenantMoved("t_b", "t_c", 9, "first"), tenantMoved("t_a", "t_b", 5, "second"))
	apply(t, s, tenantMoved("t_a", "t_b", 5, "second"))
	job := claim(t, s, "w")
	require.Equal(t, "first", job.Entry.ID, "in the order of commits, not of versions")
	require.Equal(t, []string{"t_b"}, job.Entry.Rewriting.Tenants)
	committed := job.Entry.Rewriting.CommittedAt
	require.False(t, committed.Before(job.Entry.ChangedAt), "a change bears the time of its request")
	require.False(t, committed.After(job.Entry.Rewriting.StartedAt))
	save(t, s, job, done)
	job = claim(t, s, "w")
	require.Equal(t, "second", job.Entry.ID)
	save(t, s, job, done)
	requireNoJob(t, s, "w")

	all, err := s.Moves(context.Background())
	require.NoError(t, err)
	for _, m := range all {
		require.Equal(t, ownership.RewritingDone, m.Rewriting.State)
		require.False(t, m.Rewriting.StartedAt.Before(m.ChangedAt), "by the store's clock")
		require.False(t, m.Rewriting.FinishedAt.Before(m.Rewriting.StartedAt))
	}
	apply(t, s, tenantMoved("t_z", "t_b", 4, "second"))
	job = claim(t, s, "w")
	require.Equal(t, []string{"t_a", "t_z"}, job.Entry.Rewriting.Tenants, "those of what counted before and of what counts now")
	save(t, s, job, done)
	retract(t, s, "first")
	job = claim(t, s, "w")
	require.Equal(t, "first", job.Entry.ID, "a retraction queues a job too")
	require.Equal(t, []string{"t_b"}, job.Entry.Rewriting.Tenants)
}

func leases(t *testing.T, b Backend) {
	ctx, s, other := context.Background(), b.Open(), b.Open()
	pace := ownership.Pace{PerSecond: 750, Done: 7, Elapsed: time.Second, Had: 612.5, HadAt: time.Unix(1, 0).UTC(), Governed: true}
	one := ownership.Lease{Holder: "one", For: time.Minute, Pace: pace}
	two := ownership.Lease{Holder: "two", For: time.Minute}
	free, err := s.Lease(ctx)
	require.NoError(t, err)
	require.Equal(t, ownership.Lease{}, free)
	taken, err := s.TakeLease(ctx, one)
	require.NoError(t, err)
	_, err = other.TakeLease(ctx, two)
	require.ErrorIs(t, err, ownership.ErrLeaseHeld)
	require.ErrorIs(t, err, ownership.ErrNoJob)
	held, err := other.Lease(ctx)
	require.NoError(t, err)
	require.True(t, held.Now.Equal(taken.Now))
	require.True(t, held.Pace.HadAt.Equal(pace.HadAt))
	held.Now, held.Pace.HadAt = taken.Now, pace.HadAt
	require.Equal(t, taken, held, "with its pace")
	_, err = other.TakeLease(ctx, ownership.Lease{Holder: "two"})
	require.ErrorIs(t, err, ownership.ErrLeaseHeld, "nobody releases what is another's")

	one.For = 0
	_, err = s.TakeLease(ctx, one)
	require.NoError(t, err)
	_, err = other.TakeLease(ctx, two)
	require.NoError(t, err, "it was released")
	_, err = s.TakeLease(ctx, one)
	require.ErrorIs(t, err, ownership.ErrLeaseHeld)
	two.For = time.Millisecond
	_, err = other.TakeLease(ctx, two)
	require.NoError(t, err, "who has it renews it")
	one.For = time.Minute
	require.Eventually(t, func() bool {
		_, err = s.TakeLease(ctx, one)
		return err == nil
	}, 10*time.Second, time.Millisecond, "a lease runs out by the store's clock")
}

func jobsAreOneWorkers(t *testing.T, b Backend) {
	ctx, s, other := context.Background(), b.Open(), b.Open()
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m1"), tenantMoved("t_b", "t_c", 6, "m2"))
	job := claim(t, s, "one")
	save(t, s, job, func(r *ownership.Rewriting) { r.Read = 7 })
	_, err := s.SaveJob(ctx, job)
	require.ErrorIs(t, err, ownership.ErrLeaseLost, "what it had before is worthless")
	released, err := s.TakeLease(ctx, ownership.Lease{Holder: "one"})
	require.NoError(t, err)
	stopped, err := s.Jobs(ctx, 0, 2, func(int64) bool { return false })
	require.NoError(t, err)
	require.Len(t, stopped, 2)
	taken := claim(t, other, "two")
	require.Equal(t, job.Entry.ID, taken.Entry.ID)
	require.EqualValues(t, 7, taken.Entry.Rewriting.Read)
	require.True(t, job.Entry.Rewriting.CommittedAt.Equal(taken.Entry.Rewriting.CommittedAt), "which does not change with progress")
	stopped[0].Now = released.Now
	_, err = s.SaveJob(ctx, stopped[0])
	require.ErrorIs(t, err, ownership.ErrLeaseLost)

	behind, err := s.Jobs(ctx, taken.Entry.Position, 2, func(int64) bool { return false })
	require.NoError(t, err)
	require.Len(t, behind, 1)
	require.Equal(t, "m2", behind[0].Entry.ID)
}

func jobsAreTakenUp(t *testing.T, b Backend) {
	s, other := b.Open(), b.Open()
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m1"))
	job := claim(t, s, "one")
	job = save(t, s, job, func(r *ownership.Rewriting) {
		r.Last, r.Cursor, r.Total, r.Read, r.Written = true, "thread__5", 10, 6, 5
		r.Ranges = []ownership.Range{{After: "thread__5", UpTo: "thread__7"}, {After: "thread__8"}}
	})
	started := job.Entry.Rewriting.StartedAt
	save(t, s, job, func(r *ownership.Rewriting) { r.State = ownership.RewritingQueued })
	_, err := s.TakeLease(context.Background(), ownership.Lease{Holder: "one"})
	require.NoError(t, err)
	job = claim(t, other, "two")
	require.Equal(t, []ownership.Range{{After: "thread__5", UpTo: "thread__7"}, {After: "thread__8"}}, job.Entry.Rewriting.Left())
	r := job.Entry.Rewriting
	require.True(t, r.Last)
	require.Equal(t, "thread__5", r.Cursor)
	require.Equal(t, []int64{10, 6, 5}, []int64{r.Total, r.Read, r.Written})
	require.True(t, started.Equal(r.StartedAt))
	require.Equal(t, []string{"t_a"}, r.Tenants)
	retract(t, s, "m1")
	require.Equal(t, []ownership.Range{{}}, claim(t, other, "two").Entry.Rewriting.Left(), "another change, another pass")
}

func jobsAreSuperseded(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m1"), tenantMoved("t_b", "t_c", 6, "m2"))
	job := claim(t, s, "w")
	require.Equal(t, "m1", job.Entry.ID)
	retract(t, b.Open(), "m1")
	_, err := s.SaveJob(context.Background(), job)
	require.ErrorIs(t, err, ownership.ErrLeaseLost)
	job = claim(t, s, "w")
	require.Equal(t, "m2", job.Entry.ID)
	save(t, s, job, done)
	job = claim(t, s, "w")
	require.Equal(t, "m1", job.Entry.ID, "the retraction was committed after m2")
	require.Equal(t, []string{"t_a"}, job.Entry.Rewriting.Tenants)
	save(t, s, job, done)
	requireNoJob(t, s, "w")
}

func affectedDocuments(t *testing.T, b Backend) {
	s := b.Open()
	var changes []ownership.Change
	for i := range 7 {
		changes = append(changes, created(thread(fmt.Sprint(i)), "t_a", 1, fmt.Sprint("e", i)))
	}
	apply(t, s, append(changes, created(canvas("other"), "t_x", 1, "ex"))...)
	apply(t, s, moved(thread("3"), "t_a", "t_x", 2, "m"))
	b.SetPlain("canvas__plain", "t_a", false)
	b.SetPlain("thread__0", "t_x", true)

	names := affectedNames(t, s, ownership.Page{Tenants: []string{"t_a"}, Limit: 3})
	want := []string{"canvas__plain", "thread__0", "thread__1", "thread__2", "thread__3", "thread__4", "thread__5", "thread__6"}
	require.Equal(t, want, names, "each once, in order, also those that passed through the tenant")
	count, err := s.CountAffected(context.Background(), []string{"t_a"})
	require.NoError(t, err)
	require.EqualValues(t, len(want), count)
	count, err = s.CountAffected(context.Background(), []string{"t_a", "t_x"})
	require.NoError(t, err)
	require.EqualValues(t, len(want)+1, count)
	count, err = s.CountAffected(context.Background(), []string{"t_nobody"})
	require.NoError(t, err)
	require.Zero(t, count)
}

// affectedNames reads page after page.
func affectedNames(t *testing.T, s ownership.Rewriter, page ownership.Page) (names []string) {
	t.Helper()
	for {
		records, more, err := s.Affected(context.Background(), page)
		require.NoError(t, err)
		require.LessOrEqual(t, len(records), page.Limit)
		for _, r := range records {
			names = append(names, r.Document)
		}
		if !more {
			return names
		}
		page.After = names[len(names)-1]
	}
}

// More than the tenants that one query can ask for, and documents that several of
// them have had.
func affectedOfMany(t *testing.T, b Backend) {
	s := b.Open()
	var changes []ownership.Change
	var tenants, want []string
	for i := range 40 {
		tenants = append(tenants, fmt.Sprintf("t_%02d", i))
		for j := range 2 {
			r := thread(fmt.Sprintf("%d-%02d", j, i))
			changes = append(changes, created(r, tenants[i], 1, "e"+r.ID))
			want = append(want, r.DocumentID())
		}
	}
	apply(t, s, changes...)
	apply(t, s, moved(thread("0-03"), "t_03", "t_33", 2, "m"), created(thread("9"), "t_other", 1, "other"))
	slices.Sort(want)
	require.Equal(t, want, affectedNames(t, s, ownership.Page{Tenants: tenants, Limit: 7}))
	require.Equal(t, want, affectedNames(t, s, ownership.Page{Tenants: tenants, Limit: 100}))
	require.Equal(t, want, affectedNames(t, s, ownership.Page{Tenants: tenants, Limit: 100, Bytes: 1000}))
	require.Equal(t, want[3:70], affectedNames(t, s, ownership.Page{Tenants: tenants, Limit: 7, After: want[2], UpTo: want[69]}))
	records, more, err := s.Affected(context.Background(), ownership.Page{Tenants: tenants, Limit: 100, Bytes: 1})
	require.NoError(t, err)
	require.True(t, more)
	require.Len(t, records, 1, "one at least")
	count, err := s.CountAffected(context.Background(), tenants)
	require.NoError(t, err)
	require.EqualValues(t, len(want)+1, count, "one is in two parts")
}

func affected(t *testing.T, s ownership.Rewriter, tenant string) []ownership.Record {
	t.Helper()
	records, _, err := s.Affected(context.Background(), ownership.Page{Tenants: []string{tenant}, Limit: 100})
	require.NoError(t, err)
	return records
}

func rewriting(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), created(thread("2"), "t_a", 1, "e2"), created(thread("3"), "t_a", 9, "e3"))
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m"), tenantMoved("t_b", "t_a", 6, "back"), tenantMoved("t_x", "t_a", 6, "m2"))
	claim(t, s, "w")
	b.SetPlain("not a name", "t_a", false)
	written, err := s.Rewrite(context.Background(), affected(t, s, "t_a"))
	require.NoError(t, err)
	require.Equal(t, 2, written)
	record, _ := read(t, s, thread("1"))
	require.Equal(t, "t_a", record.TenantID)
	require.Equal(t, []string{"t_b", "t_a"}, record.Path, "the path is rewritten also if the owner is the same")
	require.Empty(t, b.Feed(), "no history changes")
	written, err = s.Rewrite(context.Background(), affected(t, s, "t_a"))
	require.NoError(t, err)
	require.Zero(t, written)

	retract(t, b.Open(), "back")
	job := claim(t, b.Open(), "w")
	require.Equal(t, "m", job.Entry.ID)
	written, err = s.Rewrite(context.Background(), affected(t, s, "t_b"))
	require.NoError(t, err)
	require.LessOrEqual(t, written, 2)
}

func rewritingPlain(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"))
	b.SetPlain("thread__1", "t_p", true)
	b.SetPlain("thread__2", "t_p", false)
	move := tenantMoved("t_p", "t_q", 0, "m")
	move.Entry.Time = time.Now().Add(time.Minute)
	apply(t, s, move)
	claim(t, s, "w")
	written, err := s.Rewrite(context.Background(), affected(t, s, "t_p"))
	require.NoError(t, err)
	require.Equal(t, 2, written)
	for _, id := range []string{"1", "2"} {
		record, ledger := read(t, s, thread(id))
		require.Equal(t, "t_q", record.TenantID)
		require.False(t, record.Plain)
		require.Equal(t, ownership.Asserted, record.History[len(record.History)-1].Type)
		require.Equal(t, "t_q", record.History.Owner(ledger))
	}
	require.Equal(t, ownership.Applied, retract(t, s, "m"))
	require.Equal(t, "t_p", owner(t, s, thread("2")), "what the plain set said is known still")
}

func rewritingRace(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), created(thread("2"), "t_a", 1, "e2"))
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m"))
	claim(t, s, "w")
	records := affected(t, s, "t_a")
	apply(t, b.Open(), moved(thread("1"), "t_a", "t_z", 3, "named"))
	written, err := s.Rewrite(context.Background(), records)
	require.NoError(t, err)
	require.LessOrEqual(t, 1, written)
	for id, want := range map[string]string{"1": "t_z", "2": "t_b"} {
		record, ledger := read(t, s, thread(id))
		require.Equal(t, want, record.TenantID)
		require.Equal(t, want, record.History.Owner(ledger))
	}
}
