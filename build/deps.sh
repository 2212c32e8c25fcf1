#!/bin/sh
# Installs the Debian packages of the named groups of packages.txt (build, run, test) that are not there yet.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
missing=
# Another package may stand in for one of ours: a newer Node brings npm along and conflicts with the distribution's.
provided=$(dpkg-query -W -f '${db:Status-Status} ${Provides}\n' | sed -n 's/^installed //p' | sed 's/([^)]*)//g' | tr -d ' ' | tr ',' '\n')
for group in "$@"; do
    for package in $(awk -v g="[$group]" '/^#/ { on = ($2 == g); next } on && NF { print $1 }' "$here/packages.txt"); do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || echo "$provided" | grep -qx "$package" || missing="$missing $package"
    done
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "These Debian packages are missing:$missing" >&2
    echo "Install them with: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
echo "Installing:$missing"
# The distribution starts its servers on port 80 when they are installed; ours are started by us alone.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made_policy=1
fi
trap '[ -z "$made_policy" ] || rm -f "$policy"' EXIT
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
rm -f "$log"
