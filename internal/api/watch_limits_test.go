package api_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// numbersOf collects a metric's numbers, by the value of their one label.
func numbersOf(t *testing.T, reader *sdkmetric.ManualReader, name string) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	numbers := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			var points []metricdata.DataPoint[int64]
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				points = data.DataPoints
			case metricdata.Gauge[int64]:
				points = data.DataPoints
			}
			for _, p := range points {
				label := ""
				for _, kv := range p.Attributes.ToSlice() {
					label = kv.Value.AsString()
				}
				numbers[label] = p.Value
			}
		}
	}
	return numbers
}

func measured(o api.Options) (api.Options, *sdkmetric.ManualReader) {
	reader := sdkmetric.NewManualReader()
	o.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	return o, reader
}

func TestADrainAsksWatchesToComeBackElsewhere(t *testing.T) {
	for protocol, client := range clients() {
		t.Run(protocol, func(t *testing.T) {
			o, reader := measured(api.Options{})
			s := watching(t, o)
			s.own(t, "t_ann", "one")
			w := s.watch(t, client, "t_ann thread one")
			w.next(t, "state")
			s.stop()
			e := w.next(t, "closing", "certified")
			require.Regexp(t, `^\d{1,3}$`, e.retry, "soon: below MaxStaleness/2")
			_, open := <-w.events
			require.False(t, open, "the stream ends")
			require.EqualValues(t, 1, numbersOf(t, reader, "registry.watch.ended")["drained"])
		})
	}
}

func TestAReaderThatDoesNotReadIsCutOffAndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	o, reader := measured(api.Options{})
	s := watching(t, o)
	s.own(t, "t_ann", "one")
	var missing []string
	for i := range 5000 {
		missing = append(missing, fmt.Sprintf("t_ann thread missing_%d", i))
	}
	body := watchBody(missing...)
	deaf, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	defer func() { _ = deaf.Close() }()
	require.NoError(t, deaf.(*net.TCPConn).SetReadBuffer(1))
	_, err = fmt.Fprintf(deaf, "POST /v1/watch HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	require.NoError(t, err)
	w := s.watch(t, http.DefaultClient, "t_ann thread one")
	w.next(t, "state")
	require.Eventually(t, func() bool {
		w.next(t, "certified", "uncertain", "state") // on a busy machine certificates may come late
		return numbersOf(t, reader, "registry.watch.ended")["not_read"] == 1
	}, time.Minute, time.Millisecond)
	require.EqualValues(t, 1, numbersOf(t, reader, "registry.watch.open")[""])
	require.NoError(t, deaf.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = io.Copy(io.Discard, deaf)
	if timeout, ok := err.(net.Error); ok {
		require.False(t, timeout.Timeout(), "its connection is closed")
	}
	s.move(t, "t_ann", "t_bob", thread("one"))
	w.next(t, "lost", "certified")
}

func TestWatchesAreCountedAndInitialised(t *testing.T) {
	o, reader := measured(api.Options{})
	s := watching(t, o)
	require.Equal(t, map[string]int64{"state": 0, "certified": 0, "lost": 0, "uncertain": 0, "closing": 0}, numbersOf(t, reader, "registry.watch.events"))
	s.own(t, "t_ann", "one", "two")
	w := s.watch(t, http.DefaultClient, "t_ann thread one", "t_ann thread two", "t_ann thread missing")
	w.next(t, "state")
	require.EqualValues(t, 1, numbersOf(t, reader, "registry.watch.open")[""])
	require.EqualValues(t, 2, numbersOf(t, reader, "registry.watch.resources")[""])
	s.move(t, "t_ann", "t_bob", thread("one"))
	w.next(t, "lost", "certified")
	require.EqualValues(t, 1, numbersOf(t, reader, "registry.watch.resources")[""])
	require.EqualValues(t, 1, numbersOf(t, reader, "registry.watch.events")["lost"])
	w.leave()
	require.Eventually(t, func() bool { return numbersOf(t, reader, "registry.watch.ended")["client_gone"] == 1 }, time.Minute, time.Millisecond)
	require.EqualValues(t, 0, numbersOf(t, reader, "registry.watch.open")[""])
	require.EqualValues(t, 0, numbersOf(t, reader, "registry.watch.resources")[""])
}

// Watches take no slot of the requests, a body that comes slowly neither, and there
// is always a connection left for checks.
func TestWatchesLeaveRoomForChecks(t *testing.T) {
	s := watching(t, api.Options{MaxConcurrent: 1, MaxConnections: 9})
	s.own(t, "t_ann", "one")
	slow, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	defer func() { _ = slow.Close() }()
	_, err = io.WriteString(slow, "POST /v1/watch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
	require.NoError(t, err)
	for range 6 {
		s.watch(t, &http.Client{Transport: &http.Transport{}}, "t_ann thread one").next(t, "state")
	}
	require.Equal(t, 503, s.post(t, "/v1/watch", watchBody("t_ann thread one")).StatusCode, "three quarters of the connections")
	require.Equal(t, 204, s.ask(t, "GET /v1/threads/one/access"+asAnn).StatusCode)
}

func TestAWatchOutlastsTheTimeoutsOfRequests(t *testing.T) {
	s := serveOver(t, api.Options{RequestTimeout: 100 * time.Millisecond}, verifier.Options{MaxStaleness: 100 * time.Millisecond})
	s.own(t, "t_ann", "one")
	for protocol, client := range clients() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			w := s.watch(t, client, "t_ann thread one")
			w.next(t, "state")
			for began := time.Now(); time.Since(began) < 5500*time.Millisecond; { // what is read of a request may take 5.1 s
				w.next(t, "certified", "uncertain")
			}
		})
	}
}

func TestAWatchNeedsAStaleness(t *testing.T) {
	s := serve(t, api.Options{})
	a := s.post(t, "/v1/watch", watchBody("t_ann thread one"))
	require.Equal(t, 501, a.StatusCode)
	require.Contains(t, a.body, "--max-staleness")
}

// at_ms counts from when the request was received, so that what a client reckons
// with the time at which it sent it is never too young.
func TestTheClientsAgeIsNeverTooYoung(t *testing.T) {
	s := watching(t, api.Options{})
	s.own(t, "t_ann", "one")
	pipe, body := io.Pipe()
	text := watchBody("t_ann thread one")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/v1/watch", pipe)
	require.NoError(t, err)
	r.ContentLength = int64(len(text))
	go func() {
		_, _ = io.WriteString(body, text[:1])
		time.Sleep(400 * time.Millisecond) // the request is being received; its beginning may be seen late
		_, _ = io.WriteString(body, text[1:])
	}()
	w := &watched{events: make(chan event, 1000), sent: time.Now()}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	w.Response, err = http.DefaultClient.Do(r.WithContext(ctx))
	require.NoError(t, err)
	go w.read()
	w.next(t, "state")
	before := int64(-1)
	for range 5 {
		e := w.next(t, "certified")
		require.GreaterOrEqual(t, *e.At, max(before, 100))
		require.GreaterOrEqual(t, *e.Age, int64(0))
		require.False(t, w.sent.Add(time.Duration(*e.At)*time.Millisecond).After(e.at), "at_ms is not ahead of when it was read")
		before = *e.At
	}
}

func TestAnswersToListsSayWhatWasAsked(t *testing.T) {
	s := watching(t, api.Options{})
	a := s.post(t, "/v1/access", "{}")
	require.Equal(t, "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", a.Header.Get("X-Registry-Asked"))
	require.True(t, strings.HasPrefix(s.watch(t, http.DefaultClient, "t_ann thread x").Header.Get("X-Registry-Asked"), "sha256:"))
}
