#!/bin/sh
# build.sh OUT JOBS [cmake options]: builds marketo and mod_marketo.so by CMake, the nginx module by nginx's own configure, and
# puts the three into OUT. Quick when nothing has changed.
set -eu
out=$1
jobs=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
log=$out/build.log
if ! { cmake -S "$root" -B "$out/build" "$@" && cmake --build "$out/build" -j"$jobs" && "$root/build/nginx-module.sh" "$out"; } \
        >"$log" 2>&1; then
    cat "$log" >&2
    echo "The build failed; the output above is in $log." >&2
    exit 1
fi
for file in shared/marketo mod_marketo/mod_marketo.so; do
    if ! cmp -s "$out/build/$file" "$out/${file##*/}"; then
        cp "$out/build/$file" "$out/${file##*/}.new"
        mv "$out/${file##*/}.new" "$out/${file##*/}"
    fi
done
