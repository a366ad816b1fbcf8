package verifier_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// holdFirst holds the first read until release is closed, and no other.
func holdFirst(release <-chan struct{}) func(context.Context, []registry.Resource) error {
	var held atomic.Bool
	return func(ctx context.Context, _ []registry.Resource) error {
		if held.Swap(true) {
			return nil
		}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestChecksThatWaitShareTheNextReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		store := newGatedStore(holdFirst(release))
		v := newVerifier(t, store, verifier.Options{MaxReads: 1})
		var checks sync.WaitGroup
		ask := func(id string) {
			checks.Go(func() {
				if err := v.VerifyThreadAccess(t.Context(), "t_ann", id); err != registry.ErrNotFound { //nolint:errorlint // exact
					t.Errorf("%s: %v", id, err)
				}
			})
		}
		ask("first")
		synctest.Wait() // its read is out
		for range 3 {   // 450 checks of 150 threads
			for i := range 150 {
				ask(fmt.Sprintf("th_%d", i))
			}
		}
		synctest.Wait()
		require.Equal(t, 1, store.count(), "no read may start while MaxReads are out")
		close(release)
		checks.Wait()
		require.Equal(t, 3, store.count())
		require.Len(t, store.reads[1], 100)
		require.Len(t, store.reads[2], 50)
	})
}

func TestACheckNeverJoinsAReadThatWasSentBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		store := newGatedStore(holdFirst(release))
		v := newVerifier(t, store, verifier.Options{MaxReads: 1})
		early, late := make(chan error, 1), make(chan error, 1)
		go func() { early <- v.VerifyThreadAccess(t.Context(), "t_ann", "th_1") }()
		synctest.Wait() // the read has seen that there is no such thread, and hangs
		claim(t, store, "t_ann", thread("th_1"))
		go func() { late <- v.VerifyThreadAccess(t.Context(), "t_ann", "th_1") }()
		synctest.Wait()
		close(release)
		require.ErrorIs(t, <-early, registry.ErrNotFound)
		require.NoError(t, <-late)
	})
}

func TestEveryCallerReturnsByItsOwnDeadlineFromAHungStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, newGatedStore(hung), verifier.Options{MaxReads: 2, Timeout: 5 * time.Second})
		began := time.Now()
		var checks sync.WaitGroup
		for i := range 500 { // most of them in the queue
			checks.Go(func() {
				patience := time.Duration(i+1) * 7 * time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				err := v.VerifyThreadAccess(ctx, "t_ann", fmt.Sprintf("th_%d", i))
				if waited := time.Since(began); waited != patience {
					t.Errorf("waited %v instead of %v", waited, patience)
				}
				require.ErrorIs(t, err, registry.ErrUnavailable)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		}
		checks.Wait()
	})
}

func TestACallerWithoutADeadlineWaitsForTheTimeoutAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, newGatedStore(hung), verifier.Options{MaxReads: 1, Timeout: 3 * time.Second})
		var checks sync.WaitGroup
		for i := range 5 { // the first in the read, the others behind it
			time.Sleep(500 * time.Millisecond)
			checks.Go(func() {
				began := time.Now()
				require.ErrorIs(t, v.VerifyThreadAccess(t.Context(), "t_ann", fmt.Sprintf("th_%d", i)), registry.ErrUnavailable)
				require.Equal(t, 3*time.Second, time.Since(began))
			})
		}
		checks.Wait()
	})
}

func TestADeadReadHoldsUpNoOtherCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGatedStore(holdFirst(nil))
		claim(t, store, "t_ann", thread("th_1"))
		v := newVerifier(t, store, verifier.Options{MaxReads: 2})
		dead := make(chan error, 1)
		go func() { dead <- v.VerifyThreadAccess(t.Context(), "t_ann", "th_1") }()
		synctest.Wait()
		began := time.Now()
		require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_ann", "th_1"), "of the very resource that hangs")
		require.Zero(t, time.Since(began))
		require.ErrorIs(t, <-dead, registry.ErrUnavailable)
	})
}

func TestReadsThatDiedGiveTheirPlaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGatedStore(holdFirst(nil))
		claim(t, store, "t_ann", thread("th_1"))
		v := newVerifier(t, store, verifier.Options{MaxReads: 1, Timeout: 2 * time.Second})
		go func() { _ = v.VerifyThreadAccess(t.Context(), "t_ann", "th_1") }()
		synctest.Wait()
		time.Sleep(time.Second)
		require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_ann", "th_1"), "after the dead read's timeout, before its own")
	})
}

func TestTheReadOfCallersWhoHaveLeftIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cancelled := make(chan struct{})
		store := newGatedStore(func(ctx context.Context, _ []registry.Resource) error {
			<-ctx.Done()
			cancelled <- struct{}{}
			return ctx.Err()
		})
		v := newVerifier(t, store, verifier.Options{MaxReads: 1, Timeout: time.Hour})
		inRead, leaveRead := context.WithCancel(t.Context())
		inQueue, leaveQueue := context.WithCancel(t.Context())
		go func() { _ = v.VerifyThreadAccess(inRead, "t_ann", "in-the-read") }()
		synctest.Wait()
		go func() { _ = v.VerifyThreadAccess(inQueue, "t_ann", "in-the-queue") }()
		synctest.Wait()
		leaveQueue()
		synctest.Wait()
		leaveRead()
		<-cancelled
		synctest.Wait()
		require.Equal(t, 1, store.count(), "nobody waits for what was in the queue: it is not read")
	})
}

func TestChecksAboveTheBoundAreShedAtOnceAndTheOthersServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		store := newGatedStore(holdFirst(release))
		claim(t, store, "t_ann", thread("th_1"))
		v := newVerifier(t, store, verifier.Options{MaxReads: 1, MaxWaiting: 10})
		answers := make(chan error, 25)
		for range 25 {
			go func() { answers <- v.VerifyThreadAccess(t.Context(), "t_ann", "th_1") }()
		}
		synctest.Wait()
		for range 15 {
			require.ErrorIs(t, <-answers, registry.ErrUnavailable)
		}
		close(release)
		for range 10 {
			require.NoError(t, <-answers)
		}
		require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_ann", "th_1"), "and the bound counts nobody who has left")
	})
}
