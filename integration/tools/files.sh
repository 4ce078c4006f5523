#!/usr/bin/env bash
# Tells through which files of the product one request runs: a call of an API, a
# sign-in, a lookup. Fails when there are more than somebody can read. A request is
# made five times, and a file counts that most of them ran through: so hardly
# anything does that is done once, or in the background. A sign-in is ordered at
# the admin API and runs programs, as a call does: only its files in module/token and
# module/storage are judged.
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
  local name=$1 most=$2 judged=${3:-.} files n
  for round in "$dir/$name"/*; do
    go tool covdata textfmt -i "$round" -o "$round/profile"
    # MODULE/file.go:line.column,line.column statements count
    awk -v prefix="$prefix" '
      $3 > 0 {
        sub(/:.*/, "", $1)
        $0 = substr($1, length(prefix) + 1)
        if (!/^integration\//) print
      }' "$round/profile" | sort -u >"$round/files"
  done
  files=$(sort "$dir/$name"/*/files | uniq -c | awk -v rounds="$(ls "$dir/$name" | wc -l)" '$1 > rounds / 2 { print $2 }')
  n=$(grep -cE "$judged" <<<"$files" || true)
  echo "$name: $(grep -c . <<<"$files" || true) files; $n are judged, at most $most"
  sed 's/^/  /' <<<"$files"
  if [ "$n" -eq 0 ] || [ "$n" -gt "$most" ]; then bad=1; fi
}
count api "$api"
count sign-in "$signin" "^module/(token|storage)/"
count lookup "$lookup"
[ "$bad" -eq 0 ] || echo "not good: a request runs through more files than it may, or through none"
exit "$bad"
