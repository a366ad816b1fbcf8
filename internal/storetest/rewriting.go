package storetest

import (
	"context"
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
