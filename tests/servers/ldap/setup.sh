#!/bin/bash
# A real OpenLDAP server (slapd 2.5, Debian's package of the bookworm suite) in a folder, with the people of people.ldif. Nothing is installed on the
# machine.
#
#   setup.sh install   unpacks and seeds: about 10 s, 60 MB; no second when it is there already
#   setup.sh up        starts it on 127.20.0.22 (389 with StartTLS, 636) in the network namespace of the caller and waits until it answers
#   setup.sh serve     the same in the foreground: exec's the server, for a caller that keeps the process itself
#   setup.sh down      ends exactly the process group that `up` started; `crash` does it by SIGKILL
#
#   LDAP_HOME   where everything lies (default: .cache/ldap of the checkout)
#
# Afterwards $LDAP_HOME/ldap.env holds the addresses, the accounts and the authority's certificate. Needs root, apt and openssl.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=ldap
home=${LDAP_HOME:-$here/../../../.cache/ldap}
mkdir -p "$home/log"
home=$(cd "$home" && pwd -P)
root=$home/root
exe=/slapd
ip=127.20.0.22
# shellcheck source=tests/servers/unpack.sh
. "$here/../unpack.sh"
# shellcheck source=tests/servers/service.sh
. "$here/../service.sh"

inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC chroot "$root" "$@"; }

fetch() {
    # Perl, ODBC and accounts are for modules and scripts that are not used.
    have="perl=5.36 libodbc2=2.3.99 debconf=9.99 adduser=3.999 psmisc=99 dpkg=1.21 init-system-helpers=9.99 lsb-base=99" \
        unpack "$home" bookworm slapd ldap-utils || return 1
    touch "$root.new/.ready"
    rm -rf "$root"
    mv "$root.new" "$root"
}

configure() {
    install -d -m 700 "$root/srv/db"
    install -m 644 "$here/slapd.conf" "$root/srv/slapd.conf"
}

# Only when the seed changed.
seed() {
    local want
    want=$(cat "$here/people.ldif" "$here/slapd.conf" | sha256sum)
    [ "$want" != "$(cat "$root/srv/.seeded" 2> /dev/null)" ] || return 0
    rm -rf "$root/srv/db"
    configure
    inside /usr/sbin/slapadd -q -f /srv/slapd.conf < "$here/people.ldif" > "$home/log/seed.log" 2>&1 || return 1
    echo "$want" > "$root/srv/.seeded"
}

installs() {
    [ -e "$root/.ready" ] || fetch || return 1
    certify ldap.lab $ip || return 1
    seed || return 1
    cat > "$home/ldap.env.new" << FACTS
LDAP_URL=ldap://$ip
LDAPS_URL=ldaps://$ip
LDAP_BASE=ou=people,dc=biz,dc=example
LDAP_READER=cn=linecard,dc=biz,dc=example
LDAP_SMALL=cn=small,dc=biz,dc=example
LDAP_PASSWORD=linecard-pass
LDAP_CA=$home/tls/ca.pem
LDAP_SETUP=$here/setup.sh
LDAP_HOME=$home
FACTS
    mv "$home/ldap.env.new" "$home/ldap.env"
}

serve() {
    configure
    # One process in the foreground; "none" still tells what is fatal.
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin TZ=UTC chroot "$root" /usr/sbin/slapd -d none -f /srv/slapd.conf -h "ldap://$ip ldaps://$ip"
}

answers() { inside ldapwhoami -x -H "ldap://$ip" > /dev/null 2>&1; }

verb "${1:-install}"
