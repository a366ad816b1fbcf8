package verifier_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestAListIsAnsweredInOrderByOneReadOfWhatIsNotKept(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("kept"))
		claim(t, store, "t_ann", thread("hers"))
		claim(t, store, "t_bob", thread("his"))
		v := keeping(t, store, verifier.Options{MissGrace: time.Minute})
		allowed(t, v, "t_ann", "kept")
		before, began := store.count(), time.Now()
		errs := v.VerifyAll(t.Context(), "t_ann", []registry.Resource{
			thread("his"), thread("kept"), thread("/"), thread("hers"), thread("nobody's"), {Kind: "media", ID: "x"}, thread("hers"),
		})
		require.Len(t, errs, 7)
		for i, want := range []error{registry.ErrNotFound, nil, registry.ErrInvalid, nil, registry.ErrInvalid, registry.ErrInvalid, nil} {
			require.ErrorIs(t, errs[i], want, i)
		}
		require.Equal(t, before+1, store.count())
		require.Equal(t, []registry.Resource{thread("his"), thread("hers"), thread("hers")}, store.reads[before])
		require.Zero(t, time.Since(began), "no grace")

		for _, err := range v.VerifyAll(t.Context(), "t_ann", []registry.Resource{thread("kept"), thread("hers")}) {
			require.NoError(t, err)
		}
		require.Equal(t, before+1, store.count(), "what was read is kept")
		require.Empty(t, v.VerifyAll(t.Context(), "t_ann", nil))
	})
}

func TestALongListIsReadFiveHundredAtATime(t *testing.T) {
	store := newFeedStore()
	v := newVerifier(t, store, verifier.Options{})
	var list []registry.Resource
	for i := range 1100 {
		list = append(list, thread(fmt.Sprint("th_", i)))
		if i%3 == 0 {
			claim(t, store, "t_ann", list[i])
		}
	}
	for i, err := range v.VerifyAll(t.Context(), "t_ann", list) {
		require.Equal(t, i%3 == 0, err == nil, i)
	}
	require.Equal(t, 3, store.count())
	require.Len(t, store.reads[0], 500)
}

func TestAListFromAStoreThatIsDownIsUnavailable(t *testing.T) {
	store := newFeedStore()
	store.gate = func(context.Context, []registry.Resource) error { return registry.ErrUnavailable }
	v := newVerifier(t, store, verifier.Options{})
	for _, err := range v.VerifyAll(t.Context(), "t_ann", []registry.Resource{thread("a"), thread("b")}) {
		require.ErrorIs(t, err, registry.ErrUnavailable)
	}
}

func TestEveryCheckIsCountedAsReadOrAsKept(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		claim(t, store, "t_ann", thread("th_2"))
		claim(t, store, "t_ann", registry.Resource{Kind: registry.Canvas, ID: "cv"})
		m := measured{reader: sdkmetric.NewManualReader()}
		v := keeping(t, store, verifier.Options{
			MaxAge: 30 * time.Second, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.reader)),
		})
		ask := func(times int, tenant string, r registry.Resource) {
			for range times {
				_ = v.Verify(t.Context(), tenant, r)
			}
		}
		ask(10, "t_ann", thread("th_1")) // one read
		ask(4, "t_bob", thread("th_1"))
		ask(3, "t_bob", thread("th_9"))
		ask(6, "t_ann", registry.Resource{Kind: registry.Canvas, ID: "cv"}) // one read
		ask(2, "T", thread("th_1"))
		ask(2, "t_ann", thread("/"))
		v.VerifyAll(t.Context(), "t_ann", []registry.Resource{thread("th_1"), thread("th_2"), thread("th_9"), thread("/")})
		time.Sleep(31 * time.Second)
		ask(2, "t_ann", thread("th_1")) // the first is read
		v.Watch(t.Context(), thread("th_1"))
		store.set(failingFeed)
		time.Sleep(2 * S)
		ask(3, "t_ann", thread("th_1"))

		m.collect(t)
		for name := range m.counts {
			if name == "feed.read.duration{outcome=ok}" || name == "feed.read.duration{outcome=error}" || name == "cache.size{}" {
				require.NotZero(t, m.counts[name], name)
				delete(m.counts, name)
			}
		}
		require.Equal(t, map[string]int64{
			"cache.hits{kind=thread}":                     9 + 1 + 1,
			"cache.hits{kind=canvas}":                     5,
			"cache.misses{reason=absent}":                 1 + 3 + 1 + 2,
			"cache.misses{reason=other_owner}":            4,
			"cache.misses{reason=aged}":                   1,
			"cache.misses{reason=uncertified}":            3,
			"cache.entries{}":                             3,
			"check.duration{kind=thread,outcome=allowed}": 1 + 1 + 1 + 3,
			"check.duration{kind=canvas,outcome=allowed}": 1,
			"check.duration{kind=thread,outcome=refused}": 4 + 3 + 1,
			"check.duration{kind=thread,outcome=invalid}": 4 + 1,
			"listener.connected{}":                        0,
			"refusals{cause=foreign,kind=thread}":         4,
			"refusals{cause=unregistered,kind=thread}":    3 + 1,
			"read.duration{outcome=ok}":                   1 + 4 + 3 + 1 + 1 + 1 + 3,
			"read.resources{}":                            1 + 4 + 3 + 1 + 2 + 1 + 3,
			"watches{}":                                   0,
			"watch.ended{reason=uncertified}":             1,
		}, m.counts)
	})
}
