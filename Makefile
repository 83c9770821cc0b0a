# `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

GO           ?= go
# Runs go test, and lists at the end what was skipped and why.
TEST         := $(GO) tool -modfile=$(CURDIR)/hack/tools/go.mod gotestsum --format standard-quiet --
GOLANGCI     := golangci-lint
GOLANGCI_VERSION := v2.15.0
GOBIN        := $(shell $(GO) env GOPATH)/bin
VERSION      ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION     ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BUILDINFO    := github.com/stackscope/stackscope/internal/base/buildinfo
LDFLAGS      := -s -w -X $(BUILDINFO).version=$(VERSION) -X $(BUILDINFO).revision=$(REVISION)
FUZZTIME     ?= 1m
PORT         ?= 8080
ATTACK       ?= 1
export PATH  := $(GOBIN):$(PATH)
# With a C compiler the worker reads NVIDIA cards through their driver's library (docs/adr/0004); without one Go leaves cgo and
# those cards out by itself. Names and users are looked up without C in both.
export CGO_CFLAGS ?= -O2 -g -Wno-deprecated-declarations
export GOFLAGS := $(GOFLAGS) -tags=netgo,osusergo

.PHONY: help build run test clone-test e2e attack race no-race lint bench fuzz gen surface check vulncheck ui tools clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build all it needs and run the demo fleet on http://localhost:8080 (another port: make run PORT=8081)
	@./bin/stackscope demo --port $(PORT)

build: ui ## build bin/stackscope and bin/stackscope-worker
	@mkdir -p bin
	@echo "building bin/stackscope and bin/stackscope-worker (the first build takes some minutes: it compiles Prometheus)"
	@$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/ ./cmd/...

ui: ## build Prometheus' web UI into the binary (needs Node.js; without it the API works and the UI is left out)
	@./hack/build-prometheus-ui

test: ## every test, with the end-to-end tests; on a real Grafana too where STACKSCOPE_GRAFANA_HOME names one
	$(TEST) -shuffle=on ./...
	cd bench && $(TEST) ./...
	cd tests/compose && $(TEST) ./...
	$(MAKE) --no-print-directory e2e

clone-test: ## the tests as a user has them: in a clone of the last commit with nothing beside it
	@dir="$$(mktemp -d)" && trap 'rm -rf "$$dir"' EXIT && git clone --quiet . "$$dir/stackscope" && \
	  env -u STACKSCOPE_RECORDED_PAGES $(MAKE) --no-print-directory -C "$$dir/stackscope" test

e2e: build ## the real binaries, a separate real Prometheus, and the specification's commands
	STACKSCOPE_E2E=1 STACKSCOPE_BIN="$(CURDIR)/bin" $(TEST) -count=1 -timeout 10m ./tests/e2e/... ./tests/docs/...

attack: build ## attacks on the real programs over loopback; ATTACK=reduced is what CI does
	STACKSCOPE_ATTACK=$(ATTACK) STACKSCOPE_BIN="$(CURDIR)/bin" $(GO) test -count=1 -timeout 30m -v ./tests/attack/

race: ## the tests of packages that share state between goroutines, under the race detector
	CGO_ENABLED=1 $(TEST) -race -shuffle=on -p 2 $$($(GO) list ./internal/... | grep -vE '$(RACE_NOT)')
	CGO_ENABLED=1 $(TEST) -race -run '$(RACE_SHARED)' ./internal/translate/

no-race: ## the tests of all other packages
	$(TEST) -shuffle=on $$($(GO) list ./... | grep -vE '/stackscope/internal/') $$($(GO) list ./internal/... | grep -E '$(RACE_NOT)')

lint: tools ## golangci-lint, formatting, go fix, go.mod
	$(GOLANGCI) run ./...
	cd bench && $(GOLANGCI) run ./...
	cd tests/compose && $(GOLANGCI) run ./...
	$(GO) mod tidy -diff
	cd bench && $(GO) mod tidy -diff
	cd tests/compose && $(GO) mod tidy -diff
	cd hack/tools && $(GO) mod tidy -diff
	$(GO) fix -diff ./...

gen: ## regenerate what is generated (dashboards, docs/metrics.md, docs/flags.md, docs/access.md, the tables of vendors)
	$(GO) run ./hack/gen

surface: build ## write metrics, flags, API routes and target labels of bin/ to bin/surface.txt, to compare versions with diff
	@$(GO) run ./hack/surface bin > bin/surface.txt && echo "bin/surface.txt"

bench: build ## benchmarks: the translator beside its peers, and the hot paths
	cd bench && STACKSCOPE_BENCH=1 $(GO) test -run 'TestRatios|TestScrape|TestManyEngines|TestAgent|TestDashboards' -count=1 -v -timeout 20m . && $(GO) test -run '^$$' -bench . -benchtime 1s .
	$(GO) test -run '^$$' -bench . -benchtime 200ms $(BENCH_PACKAGES)

fuzz: ## each fuzz target for FUZZTIME (1m)
	./hack/fuzz $(FUZZTIME)

check: lint gen ## all that CI does: every test as a user has it, the attacks, and here, under the race detector where there are goroutines
	git diff --exit-code -- docs docker-compose README.md
	$(MAKE) --no-print-directory vulncheck
	$(MAKE) --no-print-directory clone-test
	$(MAKE) --no-print-directory attack ATTACK=reduced
	$(MAKE) --no-print-directory no-race
	$(MAKE) --no-print-directory race
	./hack/fuzz 5s $(FUZZ_HARD)
	./hack/fuzz 2s $(FUZZ_HARD:%=':!%')

vulncheck: ## known vulnerabilities in what the programs call; says so where their database cannot be reached
	@./hack/vulncheck

tools: ## install the linter
	@command -v $(GOLANGCI) >/dev/null && $(GOLANGCI) version | grep -q "$(GOLANGCI_VERSION:v%=%)" || \
	  { echo "installing golangci-lint $(GOLANGCI_VERSION)"; $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION); }

clean: ## remove what was built
	rm -rf bin web/prometheus/static

# What has no goroutines: pure functions, and readers of cards that only one goroutine calls.
RACE_NOT := /(catalog|exposition|fleet|translate|pagetemplate|wire|targets|enginepages)$$|/gpu/(amd|intel|hygon|metax|mthreads|iluvatar|cambricon|thead)$$
# Of internal/translate, one goroutine uses each Result; what Results share is tested by these.
RACE_SHARED := Shared|SeriesLimiter|Users_
# What reads documents and pages of others: fuzzed for longer.
FUZZ_HARD := internal/mapping internal/translate internal/exposition
BENCH_PACKAGES := ./internal/mapping/ ./internal/translate/ ./internal/exposition/ ./internal/inventory/
