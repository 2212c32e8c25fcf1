#!/bin/sh
# nginx-module.sh OUT: builds OUT/ngx_http_marketo_module.so by nginx's own configure, on the Debian package nginx-dev, with the
# libraries of the CMake build in OUT/build. Compiler and sanitizers are that build's; CC and MARKETO_SANITIZE override them.
# NGINX_SOURCE names another prepared source tree. Quick when nothing has changed.
set -eu
out=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
source=${NGINX_SOURCE:-/usr/share/nginx/src}
libraries=$out/build
work=$out/nginx
cached() {
    sed -n "s/^$1:[A-Z]*=//p" "$libraries/CMakeCache.txt"
}
CC=${CC:-$(cached CMAKE_C_COMPILER)}
sanitize=${MARKETO_SANITIZE:-$(cached MARKETO_SANITIZE)}
export MARKETO_LIBRARIES="$libraries"

cmake --build "$libraries" --target mkto_wire mkto_config mkto_web >/dev/null

# nginx's own headers are no subject of our warnings: a directory that is also given as -isystem is not searched as -I.
flags="-std=gnu11 -O2 -D_GNU_SOURCE -fPIC -fstack-protector-strong -fno-strict-aliasing -fno-omit-frame-pointer"
for directory in src/core src/event src/event/modules src/os/unix src/http src/http/modules src/http/v2 objs; do
    flags="$flags -isystem $directory"
done
flags="$flags -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla"
[ "${MARKETO_WERROR:-$(cached MARKETO_WERROR)}" = ON ] || flags="$flags -Wno-error"
link="-Wl,--as-needed -Wl,-z,relro -Wl,-z,now -Wl,--exclude-libs,ALL -Wl,-Bsymbolic"
if [ -n "$sanitize" ]; then
    flags="$flags -fsanitize=$sanitize -fno-sanitize-recover=all"
    link="$link -fsanitize=$sanitize"
else
    flags="$flags -D_FORTIFY_SOURCE=2"
fi

wanted=$(
    echo "$CC | $flags | $link | $source | $root"
    "$CC" --version
    cat "$source/conf_flags" "$root/ngx_marketo/config"
    grep 'define NGINX_VERSION' "$source/src/core/nginx.h"
)
if [ ! -f "$work/objs/Makefile" ] || [ "$wanted" != "$(cat "$work/configured" 2>/dev/null)" ]; then
    rm -rf "$work"
    mkdir -p "$work"
    ln -s "$source/auto" "$source/src" "$source/configure" "$work/"
    # An array, which sh has not; --with-cc-opt stands last and wins.
    (cd "$work" && bash -c '. "$1/conf_flags" && CC=$2 ./configure "${NGX_CONF_FLAGS[@]}" --with-cc="$2" --with-cc-opt="$3" \
        --with-ld-opt="$4" --add-dynamic-module="$5"' configure "$source" "$CC" "$flags" "$link" "$root/ngx_marketo")
    echo "$wanted" >"$work/configured"
fi
make -C "$work" -f objs/Makefile modules
if ! cmp -s "$work/objs/ngx_http_marketo_module.so" "$out/ngx_http_marketo_module.so"; then
    cp "$work/objs/ngx_http_marketo_module.so" "$out/ngx_http_marketo_module.so.new"
    mv "$out/ngx_http_marketo_module.so.new" "$out/ngx_http_marketo_module.so"
fi
