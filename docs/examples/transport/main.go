// Command transport is an example: SSE for the tenant that owns the thread. The
// registry is that of GOOGLE_CLOUD_PROJECT, or of FIRESTORE_EMULATOR_HOST.
//
//	curl -N -H 'X-Authenticated-Tenant: t_acme' 127.0.0.1:8090/threads/th_1/events
//
// A client that comes back with Last-Event-ID gets what it missed. A stream ends
// when its tenant loses the thread. Refusals are logged, and counted: /metrics.
package main

import (
	"cmp"
	"context"
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
	"github.com/northstar-engines/realtime-registry/registry/firestore"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
	"github.com/northstar-engines/realtime-registry/registry/verifier/middleware"
)

func main() {
	ctx := context.Background() // outlives every stream
	store, err := firestore.Open(ctx, firestore.Options{ProjectID: os.Getenv("GOOGLE_CLOUD_PROJECT")})
	if err != nil {
		log.Fatal(err)
	}
	exporter, err := prometheus.New()
	if err != nil {
		log.Fatal(err)
	}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	handler, err := transport(ctx, store, verifier.Options{MaxStaleness: 2 * time.Second, Logger: slog.Default(), MeterProvider: meters}, clock)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/threads/", handler)
	http.Handle("/metrics", promhttp.Handler())
	log.Fatal(http.ListenAndServe("127.0.0.1:8090", nil))
}

// transport streams a thread's messages to the tenant that owns it.
func transport(ctx context.Context, store registry.Store, o verifier.Options, messages source) (http.Handler, error) {
	v, err := verifier.New(ctx, store, o)
	if err != nil {
		return nil, err
	}
	protect, err := middleware.New(v, middleware.Options{Tenant: tenant, Resource: thread, Logger: o.Logger, MeterProvider: o.MeterProvider})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /threads/{thread}/events", protect(events(messages)))
	return mux, nil
}

// tenant is set by what authenticates, which strips it from what clients send.
func tenant(r *http.Request) string {
	return cmp.Or(r.Header.Get("X-Authenticated-Tenant"), "(X-Authenticated-Tenant is missing)") // no tenant: 400
}

func thread(r *http.Request) registry.Resource {
	return registry.Resource{Kind: registry.Thread, ID: r.PathValue("thread")}
}

// source waits for the message of a thread that comes after the one numbered so.
type source func(ctx context.Context, thread string, after int) (text string, err error)

// events streams what comes after Last-Event-ID, until the client leaves or its
// tenant loses the thread: both end the request's context.
func events(next source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID")) // absent or not ours: from the beginning
		for ; http.NewResponseController(w).Flush() == nil; last++ {
			text, err := next(r.Context(), r.PathValue("thread"), last)
			if err != nil {
				return
			}
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n", last+1, text)
		}
	})
}

// clock says the time each second; a real transport has its messages in a log.
func clock(ctx context.Context, thread string, after int) (string, error) {
	time.Sleep(time.Second)
	return fmt.Sprintf("%s: message %d at %s", thread, after+1, time.Now().Format(time.TimeOnly)), ctx.Err()
}
