#!/bin/bash
# A real MariaDB 10.11 (Debian's package of the bookworm suite) in a folder, filled with the customers of ../customers.json. Nothing is installed on
# the machine.
#
#   setup.sh install   unpacks and seeds: about 12 s, 150 MB; no second when it is there already
#   setup.sh up        starts it on 127.20.0.21:3306 in the network namespace of the caller and waits until it answers
#   setup.sh serve     the same in the foreground: exec's the server, for a caller that keeps the process itself
#   setup.sh down      ends exactly the process group that `up` started; `crash` does it by SIGKILL
#
#   MARIADB_HOME   where everything lies (default: .cache/mariadb of the checkout)
#
# Afterwards $MARIADB_HOME/mariadb.env holds the address, the accounts and the authority's certificate. Needs root, apt and openssl.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=mariadb
home=${MARIADB_HOME:-$here/../../../.cache/mariadb}
mkdir -p "$home/log"
home=$(cd "$home" && pwd -P)
root=$home/root
exe=/mariadbd
ip=127.20.0.21
account=3306:3306
# shellcheck source=tests/servers/unpack.sh
. "$here/../unpack.sh"
# shellcheck source=tests/servers/service.sh
. "$here/../service.sh"

inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC chroot --userspec=$account "$root" "$@"; }

fetch() {
    # The core packages have no scripts; Perl and accounts are for theirs.
    have="perl=5.36 perl-base=5.36 debconf=9.99 mariadb-common=1:10.11.99 mysql-common=99 dpkg=1.21 init-system-helpers=9.99" \
        leave="./etc/mysql ./usr/lib/mysql/plugin/ha_rocksdb.so" unpack "$home" bookworm mariadb-server-core mariadb-client-core dash libc-bin || return 1
    ln -sf dash "$root.new/bin/sh"
    printf 'mysql:x:3306:3306::/srv:/bin/sh\n' >> "$root.new/etc/passwd"
    chmod 1777 "$root.new/tmp"
    chmod 666 "$root.new"/dev/{null,zero,random,urandom}
    install -d -m 700 -o 3306 -g 3306 "$root.new/srv"
    touch "$root.new/.ready"
    rm -rf "$root"
    mv "$root.new" "$root"
}

# The server's own settings, for seeding and serving alike.
configure() {
    cat > "$root/etc/my.cnf" << CONF
[mariadbd]
datadir = /srv/db
pid-file = /srv/pid
socket = /srv/socket
bind-address = $ip
character-set-server = utf8mb4
collation-server = utf8mb4_unicode_ci
innodb-buffer-pool-size = 16M
innodb-log-file-size = 8M
innodb-flush-log-at-trx-commit = 0
innodb-flush-method = nosync
innodb-use-native-aio = 0
aria-pagecache-buffer-size = 4M
key-buffer-size = 1M
max-connections = 20
skip-name-resolve
ssl-ca = /tls/ca.pem
ssl-cert = /tls/cert.pem
ssl-key = /tls/key.pem
secure-file-priv = /srv
CONF
}

# Only when the seed or the customers changed.
seed() {
    local want
    want=$(cat "$here/seed.sql" "$here/../customers.json" | sha256sum)
    [ "$want" != "$(cat "$root/srv/.seeded" 2> /dev/null)" ] || return 0
    rm -rf "$root/srv/db"
    install -d -m 700 -o 3306 -g 3306 "$root/srv/db"
    install -m 644 -o 3306 "$here/seed.sql" "$here/../customers.json" "$root/srv/"
    # Its tables by its own scripts, and ours, read by the server itself: no socket anywhere. One statement a line.
    {
        printf 'create database mysql;\nuse mysql;\nset sql_mode="";\n'
        cat "$root"/usr/share/mysql/{mysql_system_tables,mysql_performance_tables,mysql_system_tables_data,maria_add_gis_sp_bootstrap}.sql
        cat "$here/seed.sql"
    } > "$root/srv/bootstrap.sql"
    inside mariadbd --bootstrap --silent-startup --skip-networking --log-warnings=0 < "$root/srv/bootstrap.sql" > "$home/log/seed.log" 2>&1 || return 1
    ! grep -q 'ERROR' "$home/log/seed.log" || return 1
    echo "$want" > "$root/srv/.seeded"
}

installs() {
    [ -e "$root/.ready" ] || fetch || return 1
    certify db.lab $ip $account || return 1
    configure
    seed || return 1
    cat > "$home/mariadb.env.new" << FACTS
MARIADB_HOST=$ip
MARIADB_PORT=3306
MARIADB_DB=biz
MARIADB_READER=reader
MARIADB_WRITER=writer
MARIADB_PLAIN=plain
MARIADB_PASSWORD=linecard-pass
MARIADB_CA=$home/tls/ca.pem
MARIADB_SETUP=$here/setup.sh
MARIADB_HOME=$home
FACTS
    mv "$home/mariadb.env.new" "$home/mariadb.env"
}

serve() {
    configure
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC chroot --userspec=$account "$root" /usr/sbin/mariadbd
}

answers() { inside mariadb --no-defaults -h $ip -u plain -plinecard-pass -e "select 1" > /dev/null 2>&1; }

verb "${1:-install}"
