// Command transport is an example: SSE for the tenant that owns the thread. The
// registry is that of GOOGLE_CLOUD_PROJECT, or of FIRESTORE_EMULATOR_HOST.
//
//	curl -N -H 'X-Authenticated-Tenant: t_acme' 127.0.0.1:8090/threads/th_1/events
//
// A client that comes back with Last-Event-ID gets what it missed. A stream ends
// when its tenant loses the thread. Refusals are logged, and counted: /metrics.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

func main() {
	store, err := fsregistry.Open(context.Background(), fsregistry.Options{ProjectID: os.Getenv("GOOGLE_CLOUD_PROJECT")})
	if err != nil {
		log.Fatal(err)
	}
	exporter, err := prometheus.New()
	if err != nil {
		log.Fatal(err)
	}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	handler, err := transport(store, verifier.Options{MaxStaleness: 2 * time.Second, Logger: slog.Default(), MeterProvider: meters}, clock)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("/metrics", promhttp.Handler())
	log.Fatal(server("127.0.0.1:8090", mux).ListenAndServe())
}

// server has a bound for everything but the length of a stream: an event that does
// not get out within a minute ends it (see events).
func server(address string, handler http.Handler) *http.Server {
	return &http.Server{
		Addr: address, Handler: handler, MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	}
}

// transport streams a thread's messages to the tenant that owns it, for as long as
// the process lives: it never closes the verifier, which ends with the process.
func transport(store verifier.Store, o verifier.Options, messages source) (http.Handler, error) {
	v, err := verifier.New(store, o)
	if err != nil {
		return nil, err
	}
	protect, err := verifierhttp.New(v, verifierhttp.Options{Tenant: tenant, Resource: thread, Logger: o.Logger, MeterProvider: o.MeterProvider})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /threads/{thread}/events", protect(events(messages)))
	mux.Handle("GET /sse/chat/{thread}", protect(events(messages))) // as the proxies of deploy/proxies know it
	return mux, nil
}

// tenant is set by what authenticates, which strips it from what clients send. Of
// two, one may be a client's.
func tenant(r *http.Request) string {
	if values := r.Header.Values("X-Authenticated-Tenant"); len(values) == 1 {
		return values[0]
	}
	return "(X-Authenticated-Tenant is missing, or there twice)" // no tenant: 400
}

func thread(r *http.Request) registry.Resource {
	return registry.Resource{Kind: registry.Thread, ID: r.PathValue("thread")}
}

// source waits for the message of a thread that follows the one with this number.
type source func(ctx context.Context, thread string, after int) (text string, err error)

// events streams what comes after Last-Event-ID, until the client leaves or its
// tenant loses the thread: both end the request's context.
func events(next source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last, err := lastEvent(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		control := http.NewResponseController(w)
		for ; control.Flush() == nil; last++ {
			text, err := next(r.Context(), r.PathValue("thread"), last)
			if err != nil {
				return
			}
			_ = control.SetWriteDeadline(time.Now().Add(time.Minute)) // for a client that does not read
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n", last+1, text)
		}
	})
}

// lastEvent returns the number after which a client resumes; without one, and with
// 0, that is the beginning. Anything else is refused: to begin anew would send
// everything twice. A page that makes a new EventSource can send it only in the
// query.
func lastEvent(r *http.Request) (int, error) {
	values := r.Header.Values("Last-Event-ID")
	if len(values) == 0 {
		values = r.URL.Query()["lastEventId"]
	}
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return 0, nil
	}
	last, err := strconv.ParseUint(values[0], 10, 31)
	if err != nil || len(values) > 1 {
		return 0, errors.New("Last-Event-ID is not one of this stream's: connect without it")
	}
	return int(last), nil
}

// clock says the time each second; a real transport has its messages in a log.
func clock(ctx context.Context, thread string, after int) (string, error) {
	time.Sleep(time.Second)
	return fmt.Sprintf("%s: message %d at %s", thread, after+1, time.Now().Format(time.TimeOnly)), ctx.Err()
}
