#!/usr/bin/env bash
# Runs every test of both modules under the race detector; gotestsum prints the
# result, coverage.sh judges the coverage. With CI=true nothing may be skipped.
#
#   integration/tools/test.sh TIMEOUT TAGS
set -euo pipefail

export timeout=$1 tags=$2
cd "$(dirname "$0")/../.."
module=$(go list -m)
ended=bin/tests.json # how each test ended, a line of JSON a test

# Packages that test the whole against real servers and clients. They measure
# time, so they run one by one and after the others.
whole=$(go list ./integration/... | grep -v /integration/provider || true)
units=$(go list ./... | grep -v "/integration\(/\|$\)"; go list ./integration/provider/...)
export whole units

tests() {
  failed=0
  # A unit test counts for its own package only: -coverpkg would link all others
  # into each test binary, and change what is registered there.
  go test -json -race -count=1 -timeout "$timeout" -tags "$tags" \
    -coverprofile coverage.unit.out $units || failed=1
  # Without what exists for speed alone, the files that end in _fast.go.
  go test -json -race -count=1 -timeout "$timeout" -tags "$tags,noswitchboardfast" \
    -skip '^(TestCorpus|TestNoGuardIsSuperfluous)$' ./internal/jq ./internal/jsonval || failed=1
  go test -json -race -count=1 -timeout "$timeout" -tags "$tags" -p 1 \
    -coverprofile coverage.whole.out -coverpkg ./internal/...,./module/...,./handlers/... $whole || failed=1
  go -C build test -json -race -count=1 -timeout "$timeout" ./... || failed=1
  exit "$failed"
}
export -f tests

mkdir -p bin
rm -f coverage.unit.out coverage.whole.out "$ended"
bad=0
go run gotest.tools/gotestsum@v1.13.0 --format pkgname --format-hide-empty-pkg \
  --jsonfile-timing-events "$ended" --ignore-non-json-output-lines \
  --raw-command -- bash -c tests || bad=1

integration/tools/coverage.sh "$module" coverage.unit.out coverage.whole.out || bad=1

# Last, and short: the output of a failed test may be long. A package that failed
# without a test of its own was not built, or broke off.
awk -F '"' -v module="$module" -v strict="${CI:-}" '
  BEGIN { print "" }
  { name = "." substr($12, length(module) + 1) } # {"Time":"…","Action":"…","Package":"…","Test":"…"
  $14 == "Test" { count[$8]++ }
  $14 == "Test" && $8 != "pass" { print toupper($8), name, $16 }
  $14 == "Test" && $8 == "fail" { told[name] }
  $14 != "Test" && $8 == "fail" && !(name in told) { print "FAIL", name; count["fail"]++ }
  END {
    printf "%d tests passed, %d failed, %d skipped\n", count["pass"], count["fail"], count["skip"]
    if (!count["pass"]) { print "not good: no test passed"; exit 1 }
    if (strict == "true" && count["skip"]) { print "not good: a test was skipped"; exit 1 }
  }' "$ended" || bad=1
exit "$bad"
