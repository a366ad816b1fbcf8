# `make` lists the targets. Nothing here needs more than Go, and for what talks
# to Firestore and Pub/Sub, the official emulators (make emulators).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BINARY      ?= bin/registry-worker
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Four test binaries at a time beside the emulators, and up to eight tests of one: most
# wait, for processes and for the clock. Those that wait longest begin first, so that in
# the end there is something to do meanwhile. No test binary may take longer than TIMEOUT.
PARALLEL ?= 4
WAITING  := ./cmd/registry-worker ./docs/examples/... ./registry/... ./quota/fsquota ./internal/consumer ./internal/regstore ./internal/pubsubadmin ./internal/api ./clients/python
TOGETHER ?= 8
TIMEOUT  ?= 8m

# The image's architecture, as Go names it.
ARCH ?= $(shell go env GOARCH)

# The profile by which `build` and `image` compile what is shipped, made by
# `make profile`; off compiles faster.
PGO ?= cmd/registry-worker/serve.pgo

# How long each fuzz test runs, and how many of them side by side, with a worker each:
# FUZZTIME times their number, divided by that, is how long all of them take.
FUZZTIME      ?= 30s
FUZZ_TOGETHER ?= $(shell getconf _NPROCESSORS_ONLN)

# How many cases each property gets in `proofs`, which packages have such properties,
# and where random choices begin.
PROOF_CHECKS ?= 100000
PROPERTIES   ?= ./internal/ownership ./quota
SEED         ?= $(shell date +%s)

# How many plans `seeds` runs in each of these worlds of the simulation, and from which
# seed on.
WORLDS ?= registry throttle
SEEDS  ?= 100000
FIRST  ?= $(SEED)

# How long `robustness` makes trouble.
DURATION ?= 1m

# What `coverage` counts.
ENGINE := ./internal/ownership,./internal/regstore,./internal/quotastore,./internal/rewrite,./registry/verifier/...,./quota

# What the Python package and the examples are tested with; their tests are skipped
# without them.
PYTHON_NEEDS    := import httpx, fastapi, uvicorn, websockets, pytest, pytest_asyncio, django, mypy
PYTHON_PACKAGES := python3-httpx python3-fastapi python3-uvicorn python3-websockets python3-pytest python3-pytest-asyncio python3-django python3-mypy
PYTHON           = $(eval PYTHON := $$(shell for p in python3 /usr/bin/python3; do $$$$p -c '$(PYTHON_NEEDS)' 2>/dev/null && echo $$$$p && break; done))$(PYTHON)

# Of all clones, as the go command and staticcheck have theirs: it is of what is
# installed for the most part.
export MYPY_CACHE_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/realtime-registry/mypy

# $(call installed,CHECK,PACKAGES): unless the check succeeds, installs these
# packages of Debian's, or says what to type.
installed = { $(1); } >/dev/null 2>&1 || \
	if [[ $$(id -u) == 0 ]] && command -v apt-get >/dev/null; then apt-get update && apt-get install -y --no-install-recommends $(2); \
	else echo "type: sudo apt-get install $(2)" >&2; exit 1; fi

# Where the emulators are missing, tests that need them are skipped, which the
# summary says; with CI=true they fail.
BESIDE_EMULATORS = bin/emulators $(if $(filter true,$(CI)),,--optional) --

.PHONY: help run build image test race fuzz proofs seeds robustness coverage archive bench profile scale emulators python browser proxies prometheus groff javascript screenshots lint hooks api imports tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## everything on this machine, until Ctrl-C: emulators, topics, worker, API
	@echo "building bin/registry-worker …" >&2
	@$(MAKE) --silent build PGO=off
	@exec bin/registry-worker dev

build: ## bin/registry-worker, static
	CGO_ENABLED=0 go build -trimpath -pgo $(PGO) -ldflags '-X main.version=$(VERSION)' -o $(BINARY) ./cmd/registry-worker

image: ## bin/image.tar, the container image, without a Docker engine (ARCH)
	@mkdir -p bin
	@cd deploy/kit && go run ./image -arch '$(ARCH)' -version '$(VERSION)' -tag 'registry-worker:$(subst +,-,$(VERSION))' -o ../../bin/image.tar

# Tests, and the programs that they run, are compiled as what is shipped is, so that one
# compilation serves both. The emulators run for minutes, in which Java's second
# compiler costs more than it saves. Programs that soon end collect their garbage
# seldom: a start of registry-worker takes a third less.
test: export CGO_ENABLED := 0
test: export GOFLAGS := $(shell go env GOFLAGS) -trimpath
test: export JDK_JAVA_OPTIONS ?= -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
test: export GOGC ?= 400
test: tools ## lint and all tests, beside the emulators; some five minutes on two cores
	@$(BESIDE_EMULATORS) $(MAKE) --silent --no-print-directory --keep-going --jobs 3 lint tested kittested

# What `test` runs side by side: most tests wait, for processes and for the clock.
.PHONY: tested kittested
tested: tools
	@bin/testsummary -count=1 -vet=off -p $(PARALLEL) -parallel $(TOGETHER) -timeout $(TIMEOUT) $(WAITING) ./...

kittested: tools
	@cd deploy/kit && ../../bin/testsummary -count=1 -vet=off -p $(PARALLEL) -timeout $(TIMEOUT) ./...

race: tools ## all tests under the race detector
	@$(BESIDE_EMULATORS) bin/testsummary -count=1 -vet=off -race -p $(PARALLEL) -timeout 15m ./...

# Go before 1.27 may call the end of FUZZTIME a failure (golang/go#75804); there is no
# failing input then.
fuzz: ## each fuzz test for FUZZTIME (10m, or 1000x for so many inputs), FUZZ_TOGETHER at a time, the others too if one fails
	@grep -rnE --include='*_test.go' '^func Fuzz[A-Za-z0-9]+\(f \*testing\.F\) \{$$' . | sort | sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9]+).*|\2 \1|' | \
	xargs -P $(FUZZ_TOGETHER) -n 2 bash -c ' \
		if out=$$(go test -vet=off -run "^$$" -fuzz "^$$0$$" -fuzztime $(FUZZTIME) -parallel 1 "$$1" </dev/null 2>&1) || \
			[[ $$out == *"    context deadline exceeded"* && $$out != *"Failing input"* ]]; \
		then echo "$$0, $$1: $$(grep -E "^fuzz: elapsed" <<<"$$out" | tail -n 1)"; \
		else printf "%s\nFAIL: %s of %s: its input is in testdata/fuzz\n" "$$out" "$$0" "$$1" >&2; exit 1; fi'

proofs: export RAPID_SEED := $(SEED)
proofs: export PROOFS_SEED := $(SEED)
proofs: export REGISTRY_TEST_ARCHIVE = $(abspath $(ARCHIVE))
proofs: tools ## longer proofs, with SEED, and with an archive (ARCHIVE=FILE) in place of made events; prints cases, seed, duration
	@echo "seed $(SEED)"
	@RAPID_CHECKS=$(PROOF_CHECKS) $(BESIDE_EMULATORS) bin/testsummary -logs -count=1 -timeout 1h $(PROPERTIES)
	@$(BESIDE_EMULATORS) bin/testsummary -logs -count=1 -tags proofs -run '^TestProof' -p 1 -timeout 1h ./...
	@cd deploy/kit && ../../$(BESIDE_EMULATORS) ../../bin/testsummary -logs -count=1 -tags proofs -run '^TestProof' -p 1 -parallel 8 -timeout 1h ./...

seeds: ## SEEDS plans of the simulation in each of WORLDS, from FIRST on; prints what they met and how long it took
	@go test -c -vet=off -o bin/simulation.test ./internal/simulation
	@first=$(FIRST); failed=0; echo "$(SEEDS) seeds of each from $$first"; cd internal/simulation; \
	for world in $(WORLDS); do \
		../../bin/simulation.test -test.v -test.timeout 24h -test.run "RulesHold/$$world" -simulation.first=$$first -simulation.seeds=$(SEEDS) & \
	done; \
	for job in $$(jobs -p); do wait $$job || failed=1; done; exit $$failed

robustness: tools ## break a whole installation for DURATION, by SEED, and judge what it answered; prints what it met (docs/robustness.md)
	@go test -count=1 -v -vet=off -tags proofs -timeout 24h -run '^TestProofOfRobustness$$' ./internal/robustness -args -robustness.seed=$(SEED) -robustness.for=$(DURATION)

coverage: ## how much of the engine the simulation alone runs, by package
	@mkdir -p bin
	@go test -count=1 -vet=off -run RulesHold -coverprofile bin/simulation.cover -coverpkg $(ENGINE) ./internal/simulation
	@awk 'NR > 1 { statements[$$1] = $$2; if ($$3) ran[$$1] = 1 } \
		END { for (s in statements) { split(s, file, ":"); sub("/[^/]*$$", "", file[1]); all[file[1]] += statements[s]; if (ran[s]) some[file[1]] += statements[s] } \
		for (p in all) printf "%5.1f%%  %s\n", 100 * some[p] / all[p], p }' bin/simulation.cover | sort -k 2

archive: tools ## publish and replay an archive (ARCHIVE=FILE, else one that is made), compare with the reference fold, bring over what commit 1571751 makes of it; prints rates and costs
	@REGISTRY_TEST_ARCHIVE="$(abspath $(ARCHIVE))" $(BESIDE_EMULATORS) go test -count=1 -v -timeout 20m -run TestAnArchive ./cmd/registry-worker

bench: ## compare with the alternatives, beside the emulators
	@$(MAKE) -C bench

profile: ## serve.pgo anew: how `serve` spends its time under checks from memory
	@$(MAKE) -C bench BENCH="-suites serve-profile -profile ../cmd/registry-worker/serve.pgo"

scale: ## measure what must hold at the target's size, under the services' rules, and compare; BENCH=-write notes it
	@$(MAKE) -C bench BENCH="-suites scale $(BENCH)"

emulators: ## install the emulators, or say what to type
	@emulator/install.sh

python: ## install what the Python package and examples need, or say what to type
	@$(call installed,[[ -n "$(PYTHON)" ]],$(PYTHON_PACKAGES))

browser: ## install the Chromium that tests open streams in, or say what to type
	@$(call installed,command -v chromium && command -v chromedriver,chromium chromium-driver)

proxies: ## install the nginx and the Caddy that tests put before a transport, or say what to type
	@$(call installed,PATH=$$PATH:/usr/sbin; command -v nginx && command -v caddy,nginx-light caddy)

prometheus: ## install the Prometheus, promtool and amtool that alerts are tested with, or say what to type
	@$(call installed,command -v prometheus && command -v promtool && command -v amtool,prometheus prometheus-alertmanager)

groff: ## install the groff that man pages are checked with, or say what to type
	@$(call installed,command -v groff,groff-base)

javascript: ## install what the examples in JavaScript need, or say what to type
	@$(call installed,command -v node && command -v npm,nodejs npm)
	@cd docs/examples/javascript && { node -e 'require.resolve("@google-cloud/pubsub")' 2>/dev/null || npm ci --ignore-scripts --no-audit --no-fund; }

screenshots: tools ## docs/images, of the console with a load, a move under way and dead letters
	@CONSOLE_SCREENSHOTS="$(abspath docs/images)" $(BESIDE_EMULATORS) go test -count=1 -tags proofs -run TestProofTheConsoleInPictures ./cmd/registry-worker

lint: ## gofmt, go vet, staticcheck, and mypy where Python has it
	@unformatted="$$(gofmt -l .)"; if [[ -n "$$unformatted" ]]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	@go vet ./...
	@go run $(STATICCHECK) ./...
	@cd deploy/kit && go vet ./... && go run $(STATICCHECK) ./...
	@if [[ -n "$(PYTHON)" ]]; then cd clients/python && $(PYTHON) -m mypy --no-error-summary; \
	elif [[ "$(CI)" == true ]]; then echo "no Python has what make python installs" >&2; exit 1; fi

imports: ## which package imports which, from the ground up, with its lines
	@go run ./internal/layering/cmd/imports

hooks: ## have git run make lint before each commit in this clone
	@git config core.hooksPath .ci/hooks

api: ## write the public API to docs/api.txt, after CHANGELOG.md says what has changed
	@go test -count=1 ./internal/layering -run TestThePublicAPI -args -update
	@git --no-pager diff --stat -- docs/api.txt

tools:
	@go build -o bin/ ./emulator/cmd/emulators ./internal/testsummary
