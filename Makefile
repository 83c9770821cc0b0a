# `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

GO           ?= go
# Runs go test, and lists at the end what was skipped and why.
TEST         := $(GO) tool -modfile=$(CURDIR)/hack/tools/go.mod gotestsum --format standard-quiet --
GOLANGCI     := golangci-lint
GOLANGCI_VERSION := v2.15.0
GORELEASER_VERSION := v2.15.1
GOBIN        := $(shell $(GO) env GOPATH)/bin
VERSION      ?= $(shell ./hack/version)
REVISION     ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BUILDINFO    := github.com/stackscope/stackscope/internal/base/buildinfo
LDFLAGS      := -s -w -X $(BUILDINFO).version=$(VERSION) -X $(BUILDINFO).revision=$(REVISION)
FUZZTIME     ?= 1m
COMMA        := ,
PORT         ?= 8080
ATTACK       ?= 1
# reduced: without the packages that link Prometheus, whose code then need not be compiled for the race detector, and those that take longest.
RACE         ?= full
export PATH  := $(GOBIN):$(PATH)
# NVIDIA support needs cgo (docs/adr/0004). Without a C compiler Go turns cgo off by itself. The tags make Go resolve host and
# user names without C in both builds; oldglibc lets programs that are built on glibc start with an older one. -trimpath holds for
# tests, too, so that they and the programs share what is compiled.
export CGO_CFLAGS ?= -O2 -g -Wno-deprecated-declarations
TAGS         := netgo,osusergo$(if $(shell getconf GNU_LIBC_VERSION 2>/dev/null),$(COMMA)oldglibc)
export GOFLAGS := $(GOFLAGS) -tags=$(TAGS) -trimpath

.PHONY: help build run test clone-test e2e attack race lint bench fuzz gen surface check vulncheck ui console console-test tools clean release-tools release-dry-run release-test reproducible install uninstall sizing package-test

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build everything and run the demo on http://localhost:8080 (another port: make run PORT=8081)
	@./bin/stackscope demo --port $(PORT)

build: ui ## build bin/stackscope and bin/stackscope-worker
	@mkdir -p bin
	@echo "building bin/stackscope and bin/stackscope-worker (the first build takes some minutes: it compiles Prometheus)"
	@$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/ ./cmd/...

# Where make install puts what; hack/install says the same.
PREFIX       ?= /usr/local
SYSCONFDIR   ?= /etc
UNITDIR      ?= $(PREFIX)/lib/systemd/system
install uninstall: export PREFIX := $(PREFIX)
install uninstall: export SYSCONFDIR := $(SYSCONFDIR)
install uninstall: export UNITDIR := $(UNITDIR)
install uninstall: export DESTDIR := $(DESTDIR)

install: ## install what make built: programs, manual pages, completions, configuration, units (PREFIX=/usr/local SYSCONFDIR=/etc UNITDIR= DESTDIR=)
	@./hack/install install

uninstall: ## remove what make install put there, with the same PREFIX and others; configuration and data stay
	@./hack/install uninstall

ui: ## build Prometheus' web UI into the binary (needs Node.js; without it only the API works)
	@./hack/build-prometheus-ui

console: ## build the console (web/console) into web/console/dist, which is committed (needs Node.js)
	@./hack/build-console

console-test: ## run the console's own tests and install what the browser tests need; without Node.js: say so
	@./hack/test-console

test: ## run every test, including end-to-end tests; also on a real Grafana if STACKSCOPE_GRAFANA_HOME names one
	$(TEST) -shuffle=on ./...
	cd bench && $(TEST) ./...
	cd tests/compose && $(TEST) ./...
	$(MAKE) --no-print-directory e2e

clone-test: ## run make test in a new clone of the last commit
	@dir="$$(mktemp -d)" && trap 'rm -rf "$$dir"' EXIT && git clone --quiet . "$$dir/stackscope" && \
	  env -u STACKSCOPE_RECORDED_PAGES $(MAKE) --no-print-directory -C "$$dir/stackscope" test

e2e: build console-test ## run the end-to-end tests: the built programs, a separate Prometheus, the commands of the documents, the console in Chromium
	STACKSCOPE_E2E=1 STACKSCOPE_BIN="$(CURDIR)/bin" $(TEST) -count=1 -p 3 -timeout 15m ./tests/e2e/... ./tests/docs/... ./tests/console/...

attack: build ## attack the built programs over loopback (CI uses ATTACK=reduced)
	STACKSCOPE_ATTACK=$(ATTACK) STACKSCOPE_BIN="$(CURDIR)/bin" $(GO) test -count=1 -timeout 30m -v ./tests/attack/

package-test: ui ## install, upgrade and remove the deb and rpm packages on a Debian with systemd in namespaces (needs root, debootstrap; minutes)
	./hack/release-files
	./hack/package-files "$(VERSION)"
	@echo "installing, upgrading and removing deb and rpm packages (some minutes; the first time it makes a Debian tree)"
	cd tests/packages && STACKSCOPE_PACKAGE_TEST=1 $(TEST) -count=1 -timeout 20m .

race: ## test packages with goroutines under the race detector (RACE=reduced: without the packages and tests that take longest)
	CGO_ENABLED=1 $(TEST) -race $(if $(filter reduced,$(RACE)),-short )-shuffle=on -p 2 $$($(GO) list ./internal/... | grep -vE '$(RACE_NOT)$(if $(filter reduced,$(RACE)),|$(RACE_LARGE))')
	CGO_ENABLED=1 $(TEST) -race -run '$(RACE_SHARED)' ./internal/translate/

lint: tools ## run golangci-lint, check formatting, go fix and go.mod
	$(GOLANGCI) run ./...
	cd bench && $(GOLANGCI) run ./...
	cd tests/compose && $(GOLANGCI) run ./...
	cd tests/packages && $(GOLANGCI) run ./...
	$(GO) mod tidy -diff
	cd bench && $(GO) mod tidy -diff
	cd tests/compose && $(GO) mod tidy -diff
	cd tests/packages && $(GO) mod tidy -diff
	cd hack/tools && $(GO) mod tidy -diff
	$(GO) fix -diff ./...

gen: ## write the generated files (dashboards, docs/metrics.md, docs/flags.md, docs/access.md, packaging/etc, tables of vendors and engines)
	$(GO) run ./hack/gen

surface: build ## write metrics, flags, API routes and target labels of the built programs to bin/surface.txt, to compare versions with diff
	@$(GO) run ./hack/surface bin > bin/surface.txt && echo "bin/surface.txt"

bench: build ## run the benchmarks: the translator against other parsers, whole scrapes, hot paths
	cd bench && STACKSCOPE_BENCH=1 $(GO) test -run 'TestRatios|TestScrape|TestManyEngines|TestAgent|TestDashboards' -count=1 -v -timeout 20m . && $(GO) test -run '^$$' -bench . -benchtime 1s .
	$(GO) test -run '^$$' -bench . -benchtime 200ms $(BENCH_PACKAGES)

sizing: build ## measure what docs/sizing.md says: a simulated day of samples, workers and a server at work (15 minutes)
	cd bench && STACKSCOPE_BENCH=1 $(GO) test -run 'TestSizing' -count=1 -v -timeout 60m .

fuzz: ## run each fuzz target for FUZZTIME (1m)
	./hack/fuzz $(FUZZTIME)

check: lint gen ## run everything that CI runs: lint, generated files, vulnerabilities, tests in a clone, attacks, race detector, fuzzing
	git diff --exit-code -- docs docker-compose packaging README.md
	./hack/build-console
	test -z "$$(git status --porcelain web/console)" || { git status --porcelain web/console; echo "web/console/dist is not what its sources give: run make console and commit it" >&2; exit 1; }
	$(MAKE) --no-print-directory vulncheck
	$(MAKE) --no-print-directory clone-test
	$(MAKE) --no-print-directory attack ATTACK=reduced
	$(MAKE) --no-print-directory race
	./hack/fuzz 5s $(FUZZ_HARD)
	$(if $(filter reduced,$(FUZZ)),,./hack/fuzz 1s $(FUZZ_HARD:%=':!%'))

vulncheck: ## list known vulnerabilities in the code that the programs call
	@./hack/vulncheck

tools: ## install the linter
	@command -v $(GOLANGCI) >/dev/null && $(GOLANGCI) version | grep -q "$(GOLANGCI_VERSION:v%=%)" || \
	  { echo "installing golangci-lint $(GOLANGCI_VERSION)"; $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION); }

release-tools: ## install goreleaser
	@command -v goreleaser >/dev/null && goreleaser --version | grep -q "$(GORELEASER_VERSION)" || \
	  { echo "installing goreleaser $(GORELEASER_VERSION) (five minutes on two cores)"; $(GO) install github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION); }

release-dry-run: release-tools ## build all that a release consists of into dist/release, test it and list it; publishes nothing
	@./hack/release dry-run

release-test: ## start the programs in dist/release on bare systems: an old Debian, and none at all (needs root, debootstrap and a network)
	STACKSCOPE_RELEASE="$(CURDIR)/dist/release" $(GO) test -count=1 -v -timeout 20m -run 'TestStaticNeedsNothing|TestOldSystem' ./tests/release

reproducible: ## build the archives and packages for amd64 a second time from another folder and compare them (after release-dry-run)
	@./hack/reproducible

clean: ## remove built files
	rm -rf bin dist web/prometheus/static

# Packages without goroutines: pure functions, GPU readers that only one goroutine calls, and simengine, which the demo's tests run concurrently.
RACE_NOT := /(simengine|catalog|exposition|fleet|translate|pagetemplate|wire|targets|enginepages|mapping)$$|/gpu/(amd|intel|hygon|metax|mthreads|iluvatar|cambricon|thead)$$
# Packages that link Prometheus or SQLite, which take minutes to compile, or have tests of a minute and more.
RACE_LARGE := /internal/(prom|server|demo|api|grafana|bundle|store|inventory|restore|backup|access)($$|/)
# Tests of the state that several Results of internal/translate share. One goroutine alone uses each Result.
RACE_SHARED := Shared|SeriesLimiter|Users_
# Packages that read foreign documents and pages are fuzzed for longer, and alone with FUZZ=reduced.
FUZZ_HARD := internal/mapping internal/translate internal/exposition
BENCH_PACKAGES := ./internal/mapping/ ./internal/translate/ ./internal/exposition/ ./internal/inventory/
