#!/bin/sh
# install.sh OUT DESTDIR PREFIX: puts what `make` built where Debian's nginx and httpd look for it.
set -eu
out=$1
dest=$2
prefix=$3
here=$(cd "$(dirname "$0")" && pwd)
nginx_modules=$dest/usr/lib/nginx/modules
httpd_modules=$dest$(apxs -q LIBEXECDIR)
install -D -m 0755 "$out/marketo" "$dest$prefix/bin/marketo"
install -D -m 0644 "$out/ngx_http_marketo_module.so" "$nginx_modules/ngx_http_marketo_module.so"
install -D -m 0644 "$out/mod_marketo.so" "$httpd_modules/mod_marketo.so"
install -D -m 0644 "$here/marketo.1" "$dest$prefix/share/man/man1/marketo.1"
install -D -m 0644 "$here/packaging/marketo.service" "$dest/lib/systemd/system/marketo.service"
install -D -m 0644 "$here/marketo.conf.example" "$dest$prefix/share/doc/marketo/marketo.conf.example"
for recipe in "$here"/recipes/*/*.conf; do
    install -D -m 0644 "$recipe" "$dest$prefix/share/doc/marketo/recipes/${recipe#"$here"/recipes/}"
done
echo "Installed. Next: copy $prefix/share/doc/marketo/marketo.conf.example to /etc/marketo/marketo.conf (README, Install)."
