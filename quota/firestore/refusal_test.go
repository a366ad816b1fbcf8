package firestore_test

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
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/firestore"
)

// refusedWrites is a database that can be read, and says code to every commit
// while it is set.
type refusedWrites struct {
	code           atomic.Uint32
	reads, commits atomic.Int64
}

func (r *refusedWrites) dial() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, in, out any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
			if code := codes.Code(r.code.Load()); code != codes.OK && strings.HasSuffix(method, "/Commit") {
				r.commits.Add(1)
				return status.Error(code, "no")
			}
			return invoke(ctx, method, in, out, c, o...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, c *grpc.ClientConn, method string, stream grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			if strings.HasSuffix(method, "/BatchGetDocuments") {
				r.reads.Add(1)
			}
			return stream(ctx, desc, c, method, o...)
		}),
	}
}

func refusing(t *testing.T, code codes.Code) (*refusedWrites, *firestore.Store) {
	r := &refusedWrites{}
	store := open(t, emulatortest.Firestore(t), "", r.dial()...)
	r.code.Store(uint32(code))
	r.reads.Store(0)
	return r, store
}

func TestADatabaseThatCanBeReadAndNotWrittenIsTriedThreeTimes(t *testing.T) {
	for _, code := range []codes.Code{codes.ResourceExhausted, codes.PermissionDenied, codes.Unavailable, codes.Internal} {
		for _, onError := range []quota.OnError{quota.Deny, quota.Allow} {
			t.Run(fmt.Sprint(code, " ", onError), func(t *testing.T) {
				r, store := refusing(t, code)
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
				require.Equal(t, [2]int64{3, 3}, [2]int64{r.reads.Load(), r.commits.Load()})
				r.code.Store(uint32(codes.OK))
				d, err = l.Allow(t.Context(), key.Tenant, key.Action)
				require.NoError(t, err)
				require.True(t, d.Allowed && !d.FailedOpen)
			})
		}
	}
}

func TestAnAbortedCommitIsALostRace(t *testing.T) {
	r, store := refusing(t, codes.Aborted)
	_, err := store.Save(t.Context(), key, quota.Change{Since: quota.Absent})
	require.ErrorIs(t, err, quota.ErrConflict)
	require.NotErrorIs(t, err, quota.ErrUnavailable)

	r.commits.Store(0)
	l, err := quota.New(store, quota.Options{OnError: quota.Allow, Timeout: 500 * time.Millisecond})
	require.NoError(t, err)
	defer l.Close(context.Background())
	d, err := l.Allow(t.Context(), key.Tenant, key.Action)
	require.NoError(t, err)
	require.True(t, d.FailedOpen, "as long as three tries may take, and not for ever")
	require.LessOrEqual(t, r.commits.Load(), int64(20))
	require.LessOrEqual(t, r.reads.Load(), int64(20))
}

func TestManyTenantsDoNotStormADatabaseThatIsExhausted(t *testing.T) {
	const tenants, takes = 200, 3 * time.Second
	r, store := refusing(t, codes.ResourceExhausted)
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
	t.Logf("%d reads, %d commits", r.reads.Load(), r.commits.Load())
	require.Less(t, r.commits.Load(), int64(2*tenants+64+16*4), "one or two for each tenant until it is known, then a few a second")
	require.Less(t, r.reads.Load(), int64(2*tenants+64+16*4))
}
