package fsquota_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire/rules"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/fsquota"
)

// calls counts those of a store, whether they are refused or not.
type calls struct{ reads, commits atomic.Int64 }

func (c *calls) dial() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, in, out any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
			if strings.HasSuffix(method, "/Commit") {
				c.commits.Add(1)
			}
			return invoke(ctx, method, in, out, cc, o...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			if strings.HasSuffix(method, "/BatchGetDocuments") {
				c.reads.Add(1)
			}
			return stream(ctx, desc, cc, method, o...)
		}),
	}
}

// refusing returns a store on a database that can be read, and says code to every
// write until its rules say otherwise.
func refusing(t *testing.T, code codes.Code) (*calls, *fsquota.Store, *rules.Firestore) {
	project, c := emulatortest.Firestore(t), &calls{}
	store := open(t, project, "", c.dial()...)
	c.reads.Store(0)
	project.FirestoreRules.FailWrites(code)
	return c, store, project.FirestoreRules
}

func TestADatabaseThatCanBeReadAndNotWrittenIsTriedThreeTimes(t *testing.T) {
	for _, code := range []codes.Code{codes.ResourceExhausted, codes.PermissionDenied, codes.Unavailable, codes.Internal} {
		for _, onError := range []quota.OnError{quota.Deny, quota.Allow} {
			t.Run(fmt.Sprint(code, " ", onError), func(t *testing.T) {
				made, store, database := refusing(t, code)
				l, err := quota.New(store, quota.Options{OnError: onError})
				require.NoError(t, err)
				defer l.Close(context.Background())
				d, err := l.Allow(t.Context(), key.Tenant, key.Action)
				if onError == quota.Allow {
					require.NoError(t, err)
					require.True(t, d.FailedOpen)
				} else {
					require.ErrorIs(t, err, quota.ErrUnavailable)
					require.Equal(t, code, status.Code(err))
				}
				require.Equal(t, [2]int64{3, 3}, [2]int64{made.reads.Load(), made.commits.Load()})
				database.FailWrites(codes.OK)
				d, err = l.Allow(t.Context(), key.Tenant, key.Action)
				require.NoError(t, err)
				require.True(t, d.Allowed && !d.FailedOpen)
			})
		}
	}
}

func TestAnAbortedCommitIsALostRace(t *testing.T) {
	made, store, _ := refusing(t, codes.Aborted)
	_, err := store.Save(t.Context(), key, limits.Change{Since: limits.Absent})
	require.ErrorIs(t, err, limits.ErrConflict)
	require.NotErrorIs(t, err, quota.ErrUnavailable)

	made.commits.Store(0)
	l, err := quota.New(store, quota.Options{OnError: quota.Allow, Timeout: 500 * time.Millisecond})
	require.NoError(t, err)
	defer l.Close(context.Background())
	d, err := l.Allow(t.Context(), key.Tenant, key.Action)
	require.NoError(t, err)
	require.True(t, d.FailedOpen, "as long as three tries may take, and not for ever")
	require.LessOrEqual(t, made.commits.Load(), int64(20))
	require.LessOrEqual(t, made.reads.Load(), int64(20))
}

func TestManyTenantsDoNotStormADatabaseThatIsExhausted(t *testing.T) {
	const tenants, takes = 200, 3 * time.Second
	made, store, _ := refusing(t, codes.ResourceExhausted)
	l, err := quota.New(store, quota.Options{})
	require.NoError(t, err)
	defer l.Close(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), takes)
	defer cancel()
	var group sync.WaitGroup
	for i := range tenants {
		group.Go(func() {
			for ctx.Err() == nil {
				_, err := l.Allow(ctx, fmt.Sprint("t_", i), key.Action)
				require.ErrorIs(t, err, quota.ErrUnavailable)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	group.Wait()
	t.Logf("%d reads, %d commits", made.reads.Load(), made.commits.Load())
	require.Less(t, made.commits.Load(), int64(2*tenants+64+16*4), "one or two for each tenant until it is known, then a few a second")
	require.Less(t, made.reads.Load(), int64(2*tenants+64+16*4))
}

func TestADatabaseThatCannotBeReadIsTriedThreeTimes(t *testing.T) {
	project, made := emulatortest.Firestore(t), &calls{}
	store := open(t, project, "", made.dial()...)
	l, err := quota.New(store, quota.Options{})
	require.NoError(t, err)
	defer l.Close(context.Background())
	made.reads.Store(0)
	project.FirestoreRules.FailReads(codes.Unavailable)
	_, err = l.Allow(t.Context(), key.Tenant, key.Action)
	require.ErrorIs(t, err, quota.ErrUnavailable)
	require.Equal(t, [2]int64{3, 0}, [2]int64{made.reads.Load(), made.commits.Load()})
}
