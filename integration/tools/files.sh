#!/usr/bin/env bash
# Tells through which files of the product one request runs: a call of an API, a
# sign-in, a lookup. Fails when there are more than somebody can read. A sign-in
# is ordered at the admin API, whose few files count too. So does what runs in the
# background at the same time: a file or two may come and go.
#
#   integration/tools/files.sh TAGS [API SIGN-IN LOOKUP]
set -euo pipefail
export LC_ALL=C # for sort

tags=$1 api=${2:-30} signin=${3:-15} lookup=${4:-28}
cd "$(dirname "$0")/../.."
prefix=$(go list -m)/
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Without counters in the main package there is nothing that could be cleared.
go build -tags "$tags" -cover -covermode atomic \
  -coverpkg ./handlers/...,./module/...,./internal/...,./integration/files -o "$dir/caddy" ./integration/files
mkdir "$dir/rest" # what the process counts until its end, which nobody reads
GOCOVERDIR=$dir/rest "$dir/caddy" "$dir" 2>"$dir/said" || {
  cat "$dir/said" >&2
  exit 1
}

bad=0
count() {
  local name=$1 most=$2 files n
  go tool covdata textfmt -i "$dir/$name" -o "$dir/$name.out"
  # MODULE/file.go:line.column,line.column statements count
  files=$(awk -v prefix="$prefix" '
    $3 > 0 {
      sub(/:.*/, "", $1)
      $0 = substr($1, length(prefix) + 1)
      if (!/^integration\//) print
    }' "$dir/$name.out" | sort -u)
  n=$(grep -c . <<<"$files" || true)
  echo "$name: $n files, at most $most"
  sed 's/^/  /' <<<"$files"
  if [ "$n" -eq 0 ] || [ "$n" -gt "$most" ]; then bad=1; fi
}
count api "$api"
count sign-in "$signin"
count lookup "$lookup"
[ "$bad" -eq 0 ] || echo "not good: a request runs through more files than it may, or through none"
exit "$bad"
