# Parley. `make help` lists the targets. Everything here runs on a fresh Debian machine with Go; what else it needs it
# puts below .cache (CACHE=DIR to choose another place).
CACHE ?= $(CURDIR)/.cache
BIN   := $(CURDIR)/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/parley-ike/parley/core/daemon.Version=$(VERSION) -X main.Version=$(VERSION) -X main.version=$(VERSION)
FUZZTIME ?= 20s
SEED ?=
export PARLEY_CACHE := $(CACHE)
export PARLEY_BIN := $(BIN)

.DEFAULT_GOAL := build
.PHONY: help build test race lint fuzz sim protocol interop bench demo gen check-gen tidy-check packages man ci clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

build: ## parleyd, parley, parley-plugin, parley-conform into bin/
	@mkdir -p $(BIN)
	go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

test: build packages ## every test, real peers and guest kernel included
	go test -timeout 18m ./...

race: ## the packages with goroutines under the race detector
	go test -race -timeout 10m ./bus/... ./core/engine/... ./core/transport/... ./core/journal/... ./core/pluginhost/... ./sdk/...

lint: ## gofmt, vet, staticcheck, layout
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'not formatted; run gofmt -w on:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	go tool staticcheck -checks "$$(cat conformance/lint/staticcheck.checks)" ./...

fuzz: ## each fuzz target for FUZZTIME
	@conformance/lint/fuzz.sh $(FUZZTIME)

sim: ## the simulator; SEED=n reruns one world and prints it
	go test ./conformance/sim -run TestWorlds -count=1 -v $(if $(SEED),-args -seed=$(SEED))

protocol: build ## the hostile peer against parleyd, by requirement; CASE=text picks cases
	go test ./conformance/protocol -count=1 -v $(if $(CASE),-run Parley -args -case='$(CASE)')

interop: build packages ## only the tests with real peers and kernels
	PARLEY_INTEROP=full go test ./conformance/interop/... -count=1 -v -timeout 30m

bench: build ## handshakes, plugins in and out of process, memory, userspace ESP
	go test ./conformance/bench -run xxx -bench . -benchtime 1x -timeout 30m
	go test ./plugins/sa/userspace -run xxx -bench Stream -benchtime 1x -timeout 10m
	go test ./plugins/sa/xfrm -run xxx -bench Children -benchtime 1x -timeout 10m
	go test ./plugins/auth/rsaenc -run xxx -bench PaddingTime -benchtime 1x -timeout 10m

demo: build ## two gateways, one tunnel, every event: see it work
	@$(BIN)/parley-conform demo

gen: ## generated code
	go run ./sdk/proto/internal/gen sdk/proto

check-gen: ## generated code is current
	@conformance/lint/current.sh

tidy-check: ## go.mod and go.sum are tidy
	go mod tidy -diff

packages: ## real peers, unpacked into the cache
	@$(BIN)/parley-conform packages

ci: lint check-gen tidy-check test race

clean: ## what was built (the cache stays)
	rm -rf $(BIN)
