package main

import "github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"

// runRules is what must hold for run, and what config checks.
var runRules = []config.Rule{
	config.NeedProject,
	config.WorkerWithoutAPI(config.NeedSharedRegistry("nobody else could read the memory of this process: use firestore, or add --api")),
	config.WorkerWithAPI(config.NeedTokenOffLoopback),
}
