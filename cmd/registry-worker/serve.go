package main

import (
	"context"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/api"
)

var serveCommand = command{
	Name:    "serve",
	Summary: "answer access checks and claims over HTTP",
	Details: "Answers until SIGTERM. Then /readyz fails, and it goes on answering for\n" +
		"--shutdown-delay, finishes the requests in progress and exits with 0; after Ctrl-C it\n" +
		"skips the delay. The API trusts the tenant that its caller names: it listens on\n" +
		"loopback, or demands a bearer token. Endpoints are described at /v1/openapi.json.\n" +
		"Health is at /livez, /readyz (which says whether to send requests; /readyz?store also\n" +
		"asks the store), /metrics and /version. /console is a page for people, on loopback, or\n" +
		"with --console on: docs/console.md.",
	Examples: []string{
		"registry-worker serve --project my-project",
		"REGISTRY_API_TOKEN=… registry-worker serve --project my-project --listen :8080",
		"curl -i -H 'X-Tenant-Id: t_acme' http://127.0.0.1:8080/v1/threads/th_1/access",
	},
	Groups: []config.Group{
		config.ProjectGroup, config.RegistryGroup, config.ClaimsGroup, config.DrainGroup, config.APIGroup, config.ConsoleGroup,
		config.ThrottleGroup, config.LogGroup,
	},
	Rules: []config.Rule{
		config.NeedProject,
		config.NeedSharedRegistry("the worker that fills the registry is another process: want firestore, or run --api"),
		config.NeedSharedThrottle("other processes would not see its windows: want firestore, or run --api"),
		config.NeedTokenOffLoopback,
		config.OneSourceOfTokens,
		config.TwoAddresses,
	},
	Port:    true,
	Service: true,
	Daemon:  true,
	Run:     runServe,
}

func runServe(ctx context.Context, in *invocation) error {
	s, err := startService(ctx, in, api.Starting{API: true})
	if s == nil {
		return err
	}
	defer s.close(ctx)
	s.warnOfNoLog(ctx)
	return s.serveAPI(ctx)
}

// serveAPI answers from the registry until ctx ends.
func (s *service) serveAPI(ctx context.Context) error {
	if err := s.openAPI(ctx); err != nil {
		return err
	}
	options, err := s.apiOptions(nil)
	if err != nil {
		return err
	}
	noWorker := make(chan struct{})
	close(noWorker)
	return s.serve(ctx, options, noWorker)
}
