#!/usr/bin/env bash
# Prints which share of the statements of each folder was run, and below it the
# packages that could do with more. Fails when internal or module has too few.
#
#   integration/tools/coverage.sh MODULE PROFILE...
set -euo pipefail
export LC_ALL=C # for sort, and for the point in numbers

module=$1
shift
# The same block comes once from each test binary that links it; it was run when
# any of them ran it.
awk -v prefix="$module/" '
  /^mode:/ { next }
  NF != 3 || $2 !~ /^[0-9]+$/ {
    print FILENAME ": not a line of a cover profile: " $0 >"/dev/stderr"
    exit broken = 1
  }
  { statements[$1] = $2 }
  $3 > 0 { ran[$1] = 1 }
  function add(name, block) {
    all[name] += statements[block]
    if (block in ran) covered[name] += statements[block]
  }
  END {
    if (broken) exit 1
    for (block in statements) {
      package = substr(block, length(prefix) + 1)
      if (!sub(/\/[^\/]*$/, "", package)) package = "."
      folder = package
      if (!sub(/\/.*/, "", folder)) package = package "/."
      add(folder, block)
      add(package, block)
    }
    for (name in all) if (all[name] > 0) print name, covered[name] + 0, all[name]
  }' "$@" | sort | awk -v least=90 -v gates="internal module" '
  BEGIN {
    for (n = split(gates, names, " "); n > 0; n--) low[names[n]] = "not measured"
    print "\ncoverage of statements:"
  }
  { percent = 100 * $2 / $3 }
  $1 ~ /\// {
    if (percent < least) printf "    %-38s %5.1f %%\n", $1, percent
    next
  }
  { printf "  %-40s %5.1f %%%s\n", $1, percent, ($1 in low) ? "   at least " least " %" : "" }
  $1 in low {
    if (percent < least) low[$1] = sprintf("%.1f %%", percent)
    else delete low[$1]
  }
  END {
    for (name in low) print "not good: coverage of " name ": " low[name]
    for (name in low) exit 1
  }'
