package verifierhttp_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

// Before the cut-over the middleware says what it would refuse, and lets it pass.
func ExampleNew_reportOnly() {
	v, err := verifier.New(memregistry.New(), verifier.Options{})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.MessageKey || a.Key == "resource" {
			return a
		}
		return slog.Attr{}
	}}))
	report, err := verifierhttp.New(v, verifierhttp.Options{
		Tenant:     func(*http.Request) string { return "t_acme" },
		Resource:   func(*http.Request) registry.Resource { return registry.Resource{Kind: registry.Thread, ID: "th_1"} },
		ReportOnly: true,
		Logger:     log,
	})
	if err != nil {
		panic(err)
	}
	answer := httptest.NewRecorder()
	report(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "streamed") })).
		ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(answer.Code, answer.Body)
	// Output:
	// msg="report only: every request passes, nothing is protected"
	// msg="report only: let pass what would have been refused" resource=thread/th_1
	// 200 streamed
}
