# Everything that people and CI run. "make" alone lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO           ?= go
TEST_TIMEOUT ?= 20m
FUZZTIME     ?= 60s
BENCHTIME    ?= 1s

# As xcaddy builds: without the databases of Caddy's own CA, which nobody uses here.
TAGS := nobadger,nomysql,nopgx

# Git may refuse to tell a version, in a clone that another user owns.
export GOFLAGS += -buildvcs=false

LINT := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# What bin/caddy must register; xcaddy does not notice that something is missing.
REGISTERED := switchboard http.handlers.api http.handlers.customer_lookup http.handlers.token_issuer http.handlers.api_console http.authentication.providers.switchboard_token \
	http.reverse_proxy.transport.switchboard \
	switchboard.customers.sqlite switchboard.customers.postgres switchboard.customers.mysql \
	admin.api.switchboard caddy.logging.encoders.switchboard

# What bin/caddy is made of.
SOURCES := $(shell find go.mod go.sum xcaddy.json plugin.go module handlers internal build \
	-type f ! -name '*_test.go' ! -path '*/testdata/*')

.PHONY: help build run test lint vet examples files bench fuzz tools clean force

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

build: bin/caddy ## build bin/caddy, as xcaddy.json says

bin/caddy: $(SOURCES) bin/sources
	@$(GO) -C build run . -o ../bin/caddy $(REGISTERED)

# The same with the race detector, to try something out by hand.
bin/caddy-race: $(SOURCES) bin/sources
	@$(GO) -C build run . -race -o ../bin/caddy-race $(REGISTERED)

# Changes when a file comes or goes; by their times alone, make can't see the latter.
bin/sources: force
	@mkdir -p bin
	@list='$(SOURCES)'; [ "$$list" = "$$(cat $@ 2>/dev/null)" ] || echo "$$list" >$@

run: bin/caddy ## start the test API and Caddy on loopback, until Ctrl-C
	@$(GO) build -o bin/demo ./integration/demo
	@exec bin/demo

test: tools bin/caddy ## run every test with the race detector, and judge coverage
	@integration/tools/test.sh $(TEST_TIMEOUT) $(TAGS)

tools: # what the tests need beside Go, make and git
	@integration/tools/install.sh

lint: vet examples files ## format, vet, golangci-lint, examples, files
	$(LINT) run ./...
	cd build && $(LINT) run --config ../.golangci.yml ./...

vet:
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted:" $$unformatted; exit 1; }
	$(GO) vet -tags=$(TAGS) ./...
	$(GO) -C build vet ./...

examples: bin/caddy ## check that every example is formatted and valid
	@integration/tools/examples.sh bin/caddy

files: ## list the files that one request runs through, which are to be few
	@integration/tools/files.sh $(TAGS)

bench: bin/caddy ## run the benchmarks, then compare with Caddy alone
	$(GO) test -tags=$(TAGS) -run='^$$' -bench=. -benchmem -benchtime=$(BENCHTIME) ./internal/... ./module/... ./handlers/...
	@$(GO) build -o bin/bench ./integration/bench
	bin/bench

fuzz: ## run every fuzz target for FUZZTIME (60s)
	@integration/tools/fuzz.sh $(FUZZTIME)

clean: ## remove what was built
	rm -rf bin coverage.*.out
