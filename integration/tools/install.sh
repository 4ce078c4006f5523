#!/usr/bin/env bash
# Installs what the tests need beside Go, make and git. This is the one list of
# it. Does nothing where all is there; where it can't install (no root, no apt),
# it names what is missing and fails.
set -euo pipefail

needed=(
  gcc libc6-dev           # the race detector links with cgo
  kamailio                # the phone system that really calls us
  kamailio-utils-modules  # its http_client
  kamailio-extra-modules  # its jansson
  sip-tester              # sipp, the phone that calls Kamailio
  openssl                 # the keys that the examples sign with
  sqlite3                 # whose .import the benchmark compares with
  redis-server            # a fleet that shares its storage
  postgresql              # customers in PostgreSQL
  prometheus              # its promtool, for the alert rules and the dashboard
  mariadb-server          # own tables of customers, in MySQL and its kin
  chromium                # the browser that looks at the console
  fonts-noto-cjk          # so that it can write Chinese
)

if ! command -v dpkg-query >/dev/null; then
  # No package database to ask: look for the programs themselves.
  missing=()
  for program in cc openssl kamailio sipp redis-server pg_ctlcluster promtool mariadbd chromium; do
    command -v "$program" >/dev/null || missing+=("$program")
  done
  [ ${#missing[@]} -eq 0 ] && exit 0
  echo "the tests need: ${missing[*]}" >&2
  echo "(on Debian and its kin: ${needed[*]})" >&2
  exit 1
fi

missing=()
for package in "${needed[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "the tests need packages that are not installed: ${missing[*]}" >&2
  echo "run: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

# Programs are wanted, not daemons: without this, apt would start a Kamailio.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
log=$(mktemp)
"${apt[@]}" update >"$log" 2>&1 && "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null || {
  tail -n 30 "$log" >&2
  rm -f "$log"
  echo "apt-get could not install ${missing[*]}" >&2
  exit 1
}
rm -f "$log"
