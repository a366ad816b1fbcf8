package verifierhttp_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

func Example() {
	store := memregistry.New() // in production: registry/fsregistry
	v, err := verifier.New(store, verifier.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	protect, err := verifierhttp.New(v, verifierhttp.Options{
		// Whatever authenticated the request knows the tenant.
		Tenant: func(r *http.Request) string { return r.Header.Get("X-Authenticated-Tenant") },
		Resource: func(r *http.Request) registry.Resource {
			return registry.Resource{Kind: registry.Thread, ID: r.PathValue("thread")}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /threads/{thread}/events", protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "data: hello\n\n")
	})))

	if err := registry.New(store).RegisterThread(context.Background(), "t_acme", "th_1"); err != nil {
		log.Fatal(err)
	}
	for _, tenant := range []string{"t_acme", "t_globex"} {
		r := httptest.NewRequest(http.MethodGet, "/threads/th_1/events", nil)
		r.Header.Set("X-Authenticated-Tenant", tenant)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(tenant, w.Code)
	}
	// Output:
	// t_acme 200
	// t_globex 404
}
