#!/bin/bash
# A real PostgreSQL 15 (Debian's package of the bookworm suite) in a folder, filled with the customers of ../customers.json. Nothing is installed on
# the machine.
#
#   setup.sh install   unpacks and seeds: about 15 s, 200 MB; no second when it is there already
#   setup.sh up        starts it on 127.20.0.20:5432 in the network namespace of the caller and waits until it answers
#   setup.sh serve     the same in the foreground: exec's the server, for a caller that keeps the process itself
#   setup.sh down      ends exactly the process group that `up` started; `crash` does it by SIGKILL
#
#   POSTGRES_HOME   where everything lies (default: .cache/postgres of the checkout)
#
# Afterwards $POSTGRES_HOME/postgres.env holds the address, the roles and the authority's certificate. Needs root, apt and openssl.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=postgres
home=${POSTGRES_HOME:-$here/../../../.cache/postgres}
mkdir -p "$home/log"
home=$(cd "$home" && pwd -P)
root=$home/root
exe=/bin/postgres
polite=INT # Its "fast" shutdown: connections are ended, not waited for.
ip=127.20.0.20
account=5432:5432
bin=/usr/lib/postgresql/15/bin
# shellcheck source=tests/servers/unpack.sh
. "$here/../unpack.sh"
# shellcheck source=tests/servers/service.sh
. "$here/../service.sh"

inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC chroot --userspec=$account "$root" "$@"; }

fetch() {
    # Perl and accounts are for its scripts, LLVM (110 MB) for a compiler of queries that is off.
    have="postgresql-common=999 ssl-cert=99 locales=99 libllvm14=1:14.0.6-12 adduser=3.999 perl=999 libperl5.36=999 perl-base=999 dpkg=999 tar=999 postgresql-client-common=999 debconf=9.99 init-system-helpers=9.99" \
        unpack "$home" bookworm postgresql-15 dash libc-bin || return 1
    printf 'postgres:x:5432:5432::/srv:/bin/sh\n' >> "$root.new/etc/passwd"
    printf 'postgres:x:5432:\n' >> "$root.new/etc/group"
    ln -sf dash "$root.new/bin/sh" # initdb asks by a shell
    chmod 1777 "$root.new/tmp"
    chmod 666 "$root.new"/dev/{null,zero,random,urandom}
    install -d -m 700 -o 5432 -g 5432 "$root.new/srv"
    touch "$root.new/.ready"
    rm -rf "$root"
    mv "$root.new" "$root"
}

# Only when the seed or the customers changed.
seed() {
    local want
    want=$(cat "$here/seed.sql" "$here/../customers.json" | sha256sum)
    [ "$want" != "$(cat "$root/srv/.seeded" 2> /dev/null)" ] || return 0
    rm -rf "$root/srv/pg"
    inside $bin/initdb -D /srv/pg -U postgres -E UTF8 --locale=C.UTF-8 -A trust > "$home/log/seed.log" 2>&1 || return 1
    install -m 644 -o 5432 "$here/seed.sql" "$here/../customers.json" "$root/srv/"
    printf '%s\n' "create database biz;" | inside $bin/postgres --single -j -D /srv/pg -c jit=off postgres >> "$home/log/seed.log" 2>&1
    # Without a socket anywhere: the server runs as one process and reads the file.
    if ! inside $bin/postgres --single -j -D /srv/pg -c jit=off -c exit_on_error=true biz < "$here/seed.sql" >> "$home/log/seed.log" 2>&1 ||
        grep -q 'ERROR:\|FATAL:' "$home/log/seed.log"; then return 1; fi
    echo "$want" > "$root/srv/.seeded"
}

configure() { # ours, written each time
    cat > "$root/srv/pg/postgresql.auto.conf" << CONF
listen_addresses = '$ip'
unix_socket_directories = ''
ssl = on
ssl_cert_file = '/tls/cert.pem'
ssl_key_file = '/tls/key.pem'
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 16MB
max_connections = 20
jit = off
dynamic_shared_memory_type = mmap
password_encryption = 'scram-sha-256'
CONF
    # One role may come without TLS, the others only with it.
    printf '%s\n' 'hostnossl all plain all scram-sha-256' 'hostssl all all all scram-sha-256' > "$root/srv/pg/pg_hba.conf"
    chown -R $account "$root/srv/pg/postgresql.auto.conf" "$root/srv/pg/pg_hba.conf"
}

installs() {
    [ -e "$root/.ready" ] || fetch || return 1
    certify db.lab $ip $account || return 1
    seed || return 1
    cat > "$home/postgres.env.new" << FACTS
POSTGRES_HOST=$ip
POSTGRES_PORT=5432
POSTGRES_DB=biz
POSTGRES_READER=reader
POSTGRES_WRITER=writer
POSTGRES_PLAIN=plain
POSTGRES_PASSWORD=linecard-pass
POSTGRES_CA=$home/tls/ca.pem
POSTGRES_SETUP=$here/setup.sh
POSTGRES_HOME=$home
FACTS
    mv "$home/postgres.env.new" "$home/postgres.env"
}

serve() {
    configure
    rm -f "$root/srv/pg/postmaster.pid"
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC chroot --userspec=$account "$root" $bin/postgres -D /srv/pg
}

answers() { inside $bin/pg_isready -q -h $ip -p 5432 -t 1; }

verb "${1:-install}"
