package capacity

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/outbox"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

// A worker, and a process that stores a claim a minute.
func TestTheRegistrysLogIsBilledAsItsLineSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const minutes = 60
		m := newMetered()
		s := m.registry(t)
		_, _, err := s.BeginLog(t.Context())
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		for i, process := range []*regstore.Store{s, m.registry(t)} {
			p, err := outbox.New(process, outbox.Options{
				Holder: fmt.Sprint(i), Open: func(context.Context) (outbox.Topic, error) { return taken{}, nil },
			})
			require.NoError(t, err)
			done.Go(func() { p.Run(ctx) })
		}
		synctest.Wait()
		m.take()
		for i := range minutes {
			created, err := s.Claim(t.Context(), exampleTenant, registry.Resource{Kind: registry.Thread, ID: fmt.Sprint("th_", i)})
			require.NoError(t, err)
			require.True(t, created)
			time.Sleep(time.Minute)
		}
		reads, writes, deletes := m.take()
		stop()
		done.Wait()
		const hour = 1 / (24 * month)
		l := line(t, Parameters{Creations: 24 * minutes, Claims: 1, Workers: 1, Transports: 1}, "the registry's log")
		t.Logf("an hour: %.0f reads, %.0f writes, %.0f deletes; the line says %.0f, %.0f, %.0f", reads-minutes*readsPerClaim, writes-minutes*writesPerClaim, deletes, l.Reads*hour, l.Writes*hour, l.Deletes*hour)
		require.InEpsilon(t, l.Reads*hour, reads-minutes*readsPerClaim, 0.05)
		require.InEpsilon(t, l.Writes*hour, writes-minutes*writesPerClaim, 0.05)
		require.InDelta(t, l.Deletes*hour, deletes, 1)
	})
}

// taken is a topic that takes everything.
type taken struct{}

func (taken) Publish(_ context.Context, all []events.Event) []error { return make([]error, len(all)) }
func (taken) Close()                                                {}

func TestAClaimInTheLogIsAsLargeAsThePageSays(t *testing.T) {
	at, _ := time.Parse(time.RFC3339Nano, exampleTime)
	e := archived.NewClaimed(archived.Claimed{
		TenantID: exampleTenant, Resource: events.ResourceRef{Kind: "thread", ID: exampleThread}, EventSource: exampleSource, EventID: exampleID,
	}, at)
	line, err := json.Marshal(e)
	require.NoError(t, err)
	const attributes, beside = len("content-type") + len("application/cloudevents+json; charset=utf-8"), 20 + 19
	t.Logf("%d bytes", len(line)+attributes+beside)
	require.InEpsilon(t, loggedMessageBytes, float64(len(line)+attributes+beside), 0.05)
}
