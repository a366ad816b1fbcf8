package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// BenchmarkHundredThousandWatched watches 100,000 resources over HTTP at MaxStaleness
// 2 s: by 20 watches, each over a connection of its own (HTTP/1.1) or all over one
// (h2c). It reports how long it takes to open them, what memory a resource takes beside
// its entry in the cache, the processor time of a quiet second, and how long it is from
// the move of a tenant that has 10,000 of them until the last watch has told it, by
// one event. The clients are in the same process.
func BenchmarkHundredThousandWatched(b *testing.B) {
	for protocol, client := range clients() {
		b.Run(protocol, func(b *testing.B) {
			for b.Loop() {
				watchHundredThousand(b, client)
			}
		})
	}
}

func watchHundredThousand(b *testing.B, client *http.Client) {
	const watches, each, moved = 20, 5000, 500 // of each
	store := memregistry.New()
	v, err := verifier.New(store, verifier.Options{MaxStaleness: 2 * time.Second, MaxAge: verifier.Unbounded})
	require.NoError(b, err)
	defer v.Close()
	s, err := api.New(api.Options{Verifier: v, Registry: registry.New(store)})
	require.NoError(b, err)
	bodies := make([]string, watches)
	cached := map[string][]registry.Resource{}
	for i := range bodies {
		var all []string
		for j := range each {
			tenant := "t_other"
			if j < moved {
				tenant = "t_big"
			}
			id := fmt.Sprintf("01890a5d-ac96-774b-bcce-%06d%06d", i, j)
			_, err := store.Claim(b.Context(), tenant, thread(id))
			require.NoError(b, err)
			all = append(all, tenant+" thread "+id)
			cached[tenant] = append(cached[tenant], thread(id))
		}
		bodies[i] = watchBody(all...)
	}
	require.Eventually(b, func() bool { // there is a certificate, and all is in memory
		for tenant, resources := range cached {
			v.VerifyAll(b.Context(), tenant, resources)
			if !v.VerifyCached(tenant, resources[len(resources)-1]) {
				return false
			}
		}
		return true
	}, time.Minute, time.Millisecond)
	addr := listen(b, s)
	before, began := heap(), time.Now()
	losses := make(chan loss, watches)
	var opening sync.WaitGroup
	for _, body := range bodies {
		opening.Add(1)
		answer, err := client.Post("http://"+addr+"/v1/watch", "application/json", strings.NewReader(body))
		require.NoError(b, err)
		defer func() { _ = answer.Body.Close() }()
		go losesOnce(answer.Body, opening.Done, losses)
	}
	opening.Wait()
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-open")
	b.ReportMetric(float64(heap()-before)/(watches*each), "B/resource")
	used := processorTime()
	time.Sleep(3 * time.Second)
	b.ReportMetric(float64((processorTime()-used).Milliseconds())/3, "cpu-ms/s")
	at := time.Now()
	store.Apply(b.Context(), []ownership.Change{{Entry: ownership.Entry{
		Type: ownership.Moved, From: "t_big", To: "t_bigger",
		Version: ownership.Version{Time: time.Now().Add(time.Second), Source: "test", ID: "m"},
	}}})
	var slowest time.Duration
	for range watches {
		l := <-losses
		require.Equal(b, moved, l.resources, "one event")
		slowest = max(slowest, l.at.Sub(at))
	}
	b.ReportMetric(float64(slowest.Milliseconds()), "ms-to-tell-10000")
}

// loss is an event of a watch: when it was read, and how many it names.
type loss struct {
	at        time.Time
	resources int
}

// losesOnce reads a watch up to its first loss, and takes little memory.
func losesOnce(stream io.Reader, begun func(), losses chan<- loss) {
	name := ""
	for lines := bufio.NewScanner(stream); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "event":
			name = value
		case field == "data" && name == "state":
			begun()
		case field == "data" && name == "lost":
			losses <- loss{time.Now(), strings.Count(value, ",") + 1}
			return
		}
	}
	losses <- loss{}
}
