#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given ("60s"), one after the
# other, and names those that found something.
set -euo pipefail

time=$1
cd "$(dirname "$0")/../.."

found=() count=0
while IFS=: read -r file target; do
  count=$((count + 1))
  package=./$(dirname "$file")
  target=${target#func }
  echo "== $package $target, $time"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || found+=("$package $target")
done < <(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' internal module handlers | sort)

if [ "$count" -eq 0 ]; then
  echo "no fuzz target"
  exit 1
fi
if [ ${#found[@]} -gt 0 ]; then
  printf 'finding: %s\n' "${found[@]}"
  exit 1
fi
echo "$count targets ran for $time each without a finding"
