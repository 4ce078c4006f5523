#!/usr/bin/env bash
# Runs every test of both modules under the race detector; build/report prints
# the result and judges it. With CI=true nothing may be skipped.
#
#   integration/tools/test.sh TIMEOUT TAGS
set -euo pipefail

timeout=$1 tags=$2
cd "$(dirname "$0")/../.."
module=$(go list -m)
profiles=$PWD/coverage.unit.out,$PWD/coverage.whole.out
ours=./internal/...,./module/...,./handlers/...

# Packages that test the whole against real servers and clients. They measure
# time, so they run one by one and after the others.
whole=$(go list ./integration/... | grep -v /integration/provider || true)
units=$(go list ./... | grep -v "/integration\(/\|$\)"; go list ./integration/provider/...)

tests() {
  # A unit test counts for its own package only: -coverpkg would link all others
  # into each test binary, and change what is registered there.
  go test -json -race -count=1 -timeout "$timeout" -tags "$tags" \
    -coverprofile coverage.unit.out $units || failed=1
  # Without what exists for speed alone, the files that end in _fast.go.
  go test -json -race -count=1 -timeout "$timeout" -tags "$tags,noswitchboardfast" \
    -skip '^(TestCorpus|TestNoGuardIsSuperfluous)$' ./internal/jq ./internal/jsonval || failed=1
  go test -json -race -count=1 -timeout "$timeout" -tags "$tags" -p 1 \
    -coverprofile coverage.whole.out -coverpkg "$ours" $whole || failed=1
  go -C build test -json -race -count=1 -timeout "$timeout" ./... || failed=1
}

strict=
[ "${CI:-}" = true ] && strict=-strict
rm -f coverage.unit.out coverage.whole.out
go -C build build -o ../bin/report ./report
{ failed=0; tests; exit "$failed"; } |
  bin/report $strict -root "$module" -profile "$profiles" -gate internal,module -min 90
