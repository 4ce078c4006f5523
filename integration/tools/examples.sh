#!/usr/bin/env bash
# Checks every example with the binary given: it is formatted as "caddy fmt"
# would, and Caddy accepts it without a warning about an api. The variables that examples read from the
# environment get a stand-in value; nothing is started.
set -euo pipefail

caddy=$(realpath "$1")
cd "$(dirname "$0")/../../caddyfile-examples"

# Validating may create data and log files: not in the user's folders.
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
export HOME=$home XDG_DATA_HOME=$home/data XDG_CONFIG_HOME=$home/config

key=$(openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null)
while read -r name; do
  case $name in
    *PRIVATE_KEY) export "$name=$key" ;; # it is read, and must fit
    GHOST_*) export "$name=id:00" ;; # it is taken apart
    *) export "$name=example" ;;
  esac
done < <(grep -rhoE '\{env\.[A-Za-z_][A-Za-z0-9_]*' . | sed 's/.*\.//' | sort -u)

bad=0 count=0
for file in *.Caddyfile; do
  [ -e "$file" ] || break
  count=$((count + 1))
  if ! difference=$("$caddy" fmt --diff "$file" 2>/dev/null); then
    echo "caddyfile-examples/$file is not formatted; run: bin/caddy fmt --overwrite caddyfile-examples/$file"
    grep '^[-+]' <<<"$difference" || true
    bad=1
  fi
  if ! said=$("$caddy" validate --adapter caddyfile --config "$file" 2>&1); then
    echo "caddyfile-examples/$file is not valid:"
    tail -n 3 <<<"$said"
    bad=1
  fi
  if grep -a '"level":"warn".*"logger":"http.handlers.api"' <<<"$said"; then
    echo "caddyfile-examples/$file: see the warning above"
    bad=1
  fi
done
if [ "$count" -eq 0 ]; then
  echo "caddyfile-examples holds no Caddyfile"
  bad=1
fi
[ "$bad" -eq 0 ] && echo "$count examples are formatted and valid"
exit "$bad"
