#!/bin/bash
# A real Odoo 14 (Debian's package of the bullseye suite, PostgreSQL 13) in a chroot, filled with the customers of ../customers.json.
#
#   setup.sh install   makes the chroot, installs and seeds: four to six minutes, 1.6 GiB; a second when it is there already
#   setup.sh up        starts it on 127.0.0.1:$ODOO_PORT and waits until it answers
#   setup.sh serve     the same in the foreground: exec's the server, for a caller that keeps the process itself
#   setup.sh down      ends exactly the process group that `up` started, and the database
#
#   ODOO_HOME   where everything lies (default: .cache/odoo of the checkout)
#   ODOO_PORT   default 18069
#
# Afterwards $ODOO_HOME/odoo.env holds the address, the accounts and the folder of the sessions. The database listens on a socket
# of the chroot only. Needs root and debootstrap. Packages come from the archive that the machine's own apt sources name.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${ODOO_HOME:-$here/../../../.cache/odoo}
port=${ODOO_PORT:-18069}
db=biz
mkdir -p "$home/log"
home=$(cd "$home" && pwd)
root=$home/root
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

archive() { # one of the two kinds of files is usually missing, so a failed cat is no failure
    {
        cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs: *\([^ ]*\).*/\1/p'
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
            sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p'
    } | grep -E '/debian/?$' | sed -n 1p || true
}

# A clean environment. Odoo keeps all times in UTC.
clean=(/usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive TZ=UTC
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
inside() { chroot "$root" "${clean[@]}" "$@"; }
as_postgres() { inside chroot --userspec=postgres:postgres / "$@"; }
as_odoo=(chroot --userspec=odoo:odoo / /usr/bin/env HOME=/srv/odoo)
odoo=(/usr/bin/odoo -c /srv/odoo/odoo.conf)
pg=/usr/lib/postgresql/13/bin

install_root() {
    [ ! -e "$root/.ready" ] || return 0
    rm -rf "$root"
    local from
    from=$(archive)
    [ -n "$from" ] || { echo "no Debian archive in this machine's apt sources" >&2; return 1; }
    debootstrap --variant=minbase --include=ca-certificates bullseye "$root" "$from" > "$home/log/debootstrap.log" 2>&1
    printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    {
        echo force-unsafe-io
        printf 'path-exclude=/usr/share/%s/*\n' doc man locale
    } > "$root/etc/dpkg/dpkg.cfg.d/fast"
    # The suite is old: its index may be past its date and is still the right one.
    printf 'APT::Install-Recommends "0";\nAcquire::Languages "none";\nAcquire::Check-Valid-Until "0";\nAPT::Sandbox::User "root";\n' \
        > "$root/etc/apt/apt.conf.d/99fast"
    touch "$root/.ready"
}

install_odoo() {
    [ ! -e "$root/.odoo" ] || return 0
    inside apt-get -qq update >> "$home/log/apt.log" 2>&1
    # python3-phonenumbers: without it the module phone_validation does nothing.
    inside apt-get -y install --no-install-recommends postgresql-13 odoo-14 python3-phonenumbers >> "$home/log/apt.log" 2>&1
    inside apt-get clean
    touch "$root/.odoo"
}

configure() { # ours, written each time: the port may be another
    inside install -d -m 700 -o postgres -g postgres /srv/pg
    inside install -d -o postgres -g postgres /srv/pgrun
    inside install -d -o odoo -g odoo /srv/odoo
    if [ ! -e "$root/srv/pg/PG_VERSION" ]; then
        as_postgres $pg/initdb -D /srv/pg -E UTF8 --locale=C.UTF-8 -A trust > "$home/log/initdb.log" 2>&1
        printf '%s\n' "listen_addresses=''" "unix_socket_directories='/srv/pgrun'" fsync=off synchronous_commit=off full_page_writes=off \
            shared_buffers=64MB max_connections=40 dynamic_shared_memory_type=mmap >> "$root/srv/pg/postgresql.conf"
    fi
    cat > "$root/srv/odoo/odoo.conf" << CONF
[options]
db_host = /srv/pgrun
db_user = odoo
db_name = $db
list_db = False
dbfilter = ^$db\$
http_interface = 127.0.0.1
http_port = $port
longpolling_port = 0
workers = 0
max_cron_threads = 0
data_dir = /srv/odoo/data
admin_passwd = not-for-anybody
CONF
}

pg_up() {
    if as_postgres $pg/pg_ctl -D /srv/pg status > /dev/null 2>&1; then return 0; fi
    # What a machine that was switched off left behind.
    rm -f "$root/srv/pg/postmaster.pid"
    as_postgres $pg/pg_ctl -D /srv/pg -l /srv/pgrun/log -w -t 60 start > "$home/log/pg.log" 2>&1 < /dev/null
}
pg_down() {
    if [ ! -e "$root/srv/pg/postmaster.pid" ]; then return 0; fi
    as_postgres $pg/pg_ctl -D /srv/pg -m fast -w stop > /dev/null 2>&1 || true
}

install_database() {
    [ ! -e "$root/srv/.database" ] || return 0
    as_postgres psql -h /srv/pgrun -Atc "select 1 from pg_roles where rolname='odoo'" postgres | grep -q 1 ||
        as_postgres psql -h /srv/pgrun -qc "create role odoo login createdb" postgres
    inside "${as_odoo[@]}" "${odoo[@]}" -d $db -i contacts,sale_management,crm,project,phone_validation,l10n_cn \
        --without-demo=all --no-http --stop-after-init > "$home/log/database.log" 2>&1
    touch "$root/srv/.database"
}

# Only when the seed or the customers changed: looking everything up again takes longer than all the rest of a repeat.
seed() {
    local want
    want=$(cat "$here/seed.py" "$here/../customers.json" | sha256sum)
    if [ "$want" = "$(cat "$root/srv/.seeded" 2> /dev/null)" ] && [ -s "$home/ids.env" ]; then return 0; fi
    pg_up
    install_database
    install -m 644 "$here/../customers.json" "$root/srv/"
    inside "${as_odoo[@]}" /usr/bin/odoo shell -c /srv/odoo/odoo.conf -d $db --no-http < "$here/seed.py" > "$home/log/seed.log" 2>&1
    grep '^ODOO_' "$home/log/seed.log" > "$home/ids.env.new"
    grep -q '^ODOO_SEEDED=' "$home/ids.env.new" || return 1
    mv "$home/ids.env.new" "$home/ids.env"
    echo "$want" > "$root/srv/.seeded"
}

environment() {
    {
        echo "ODOO_URL=http://127.0.0.1:$port"
        echo "ODOO_DB=$db"
        printf '%s\n' ODOO_USER=linecard ODOO_PASSWORD=linecard-pass ODOO_LIMITED_USER=limited ODOO_LIMITED_PASSWORD=limited-pass
        printf '%s\n' ODOO_PORTAL_USER=portal ODOO_PORTAL_PASSWORD=portal-pass ODOO_WRONG_PASSWORD=not-this-one
        printf '%s\n' ODOO_ADMIN=admin ODOO_ADMIN_PASSWORD=admin
        echo "ODOO_SESSIONS=$root/srv/odoo/data/sessions"
        echo "ODOO_SETUP=$here/setup.sh"
        echo "ODOO_HOME=$home"
        cat "$home/ids.env"
    } > "$home/odoo.env"
}

mounted() { # packages and PostgreSQL want /proc; nothing else of the machine is shown to the chroot
    mkdir -p "$root/proc"
    mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
}
unmount() { if mountpoint -q "$root/proc"; then umount "$root/proc" || true; fi; }

serve() {
    mounted
    configure
    pg_up
    environment
    exec chroot "$root" "${clean[@]}" "${as_odoo[@]}" "${odoo[@]}" -d $db
}

ends() { # ends PID: the process group that `up` made
    kill -TERM -- "-$1" 2>/dev/null || return 0
    for _ in $(seq 60); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.25; done
    kill -KILL -- "-$1" 2>/dev/null || true
}

[ "$(id -u)" = 0 ] || { echo "root is needed (chroot)" >&2; exit 1; }
case "${1:-install}" in
install)
    # One at a time: two checks of one checkout must not unpack into one folder.
    exec 9> "$home/lock"
    flock 9
    began=$(date +%s)
    install_root || { echo "debootstrap failed: $home/log/debootstrap.log" >&2; exit 1; }
    unpacked=$(date +%s)
    mounted
    trap 'pg_down; unmount' EXIT
    install_odoo || { echo "the packages could not be installed: $home/log/apt.log" >&2; exit 1; }
    packed=$(date +%s)
    configure
    seed || { echo "the database could not be made: $home/log/database.log, $home/log/seed.log" >&2; exit 1; }
    environment
    echo "odoo installed in $(($(date +%s) - began)) s (root $((unpacked - began)), packages $((packed - unpacked)), database $(($(date +%s) - packed))); $home/odoo.env"
    ;;
serve) serve ;;
up)
    setsid "$0" serve >> "$home/log/odoo.log" 2>&1 < /dev/null &
    echo $! > "$home/odoo.pid"
    for _ in $(seq 90); do
        if curl -s -f -o /dev/null --max-time 10 "http://127.0.0.1:$port/web/login"; then echo "odoo up on 127.0.0.1:$port"; exit 0; fi
        kill -0 "$(cat "$home/odoo.pid")" 2>/dev/null || break
        sleep 1
    done
    echo "odoo does not answer: $home/log/odoo.log" >&2
    exit 1
    ;;
down)
    if [ -s "$home/odoo.pid" ]; then ends "$(cat "$home/odoo.pid")"; rm -f "$home/odoo.pid"; fi
    pg_down
    unmount
    ;;
*) echo "usage: setup.sh install|up|serve|down" >&2; exit 2 ;;
esac
