#!/bin/bash
# A real mail server (Exim 4.96, Debian's package of the bookworm suite) in a folder; its inbox is a maildir that can be read. Nothing is installed
# on the machine, and no mail leaves it.
#
#   setup.sh install   unpacks it: about 8 s, 60 MB; no second when it is there already
#   setup.sh up        starts it on 127.20.0.23:587 in the network namespace of the caller and waits until it answers
#   setup.sh serve     the same in the foreground: exec's the server, for a caller that keeps the process itself
#   setup.sh down      ends exactly the process group that `up` started; `crash` does it by SIGKILL
#
#   SMTP_HOME   where everything lies (default: .cache/smtp of the checkout)
#
# Afterwards $SMTP_HOME/smtp.env holds the address, the account, the folder of the inbox and the authority's certificate. Needs root, apt and
# openssl.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=smtp
home=${SMTP_HOME:-$here/../../../.cache/smtp}
mkdir -p "$home/log"
home=$(cd "$home" && pwd -P)
root=$home/root
exe=/exim4
ip=127.20.0.23
# shellcheck source=tests/servers/unpack.sh
. "$here/../unpack.sh"
# shellcheck source=tests/servers/service.sh
. "$here/../service.sh"

fetch() {
    # Its scripts want accounts and a boot, its own configuration is not ours.
    have="exim4-config=4.99 exim4-base=4.99 debconf=9.99 adduser=3.999 dpkg=1.21 perl=5.36" unpack "$home" bookworm exim4-daemon-light || return 1
    printf 'Debian-exim:x:2503:2503::/var/spool/exim4:/bin/sh\n' >> "$root.new/etc/passwd"
    printf 'Debian-exim:x:2503:\nmail:x:8:\n' >> "$root.new/etc/group"
    chmod 1777 "$root.new/tmp"
    chmod 666 "$root.new"/dev/{null,zero,random,urandom}
    touch "$root.new/.ready"
    rm -rf "$root"
    mv "$root.new" "$root"
}

configure() {
    install -d -m 700 -o 2503 -g 2503 "$root/inbox" "$root/var/spool/exim4" "$root/var/log/exim4"
    install -d -m 755 "$root/etc/exim4"
    install -m 644 "$here/exim.conf" "$root/etc/exim4/exim4.conf"
}

installs() {
    [ -e "$root/.ready" ] || fetch || return 1
    certify mx.lab $ip 2503:2503 || return 1
    configure
    cat > "$home/smtp.env.new" << FACTS
SMTP_HOST=$ip
SMTP_PORT=587
SMTP_USER=linecard
SMTP_PASSWORD=linecard-pass
SMTP_INBOX=$root/inbox
SMTP_CA=$home/tls/ca.pem
SMTP_SETUP=$here/setup.sh
SMTP_HOME=$home
FACTS
    mv "$home/smtp.env.new" "$home/smtp.env"
}

serve() {
    configure
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin TZ=UTC chroot "$root" /usr/sbin/exim4 -bdf -v
}

answers() { # it greets, so it is ready
    local said=""
    exec 3<> "/dev/tcp/$ip/587" || return 1
    read -r -t 1 said <&3 || true
    exec 3>&-
    [[ $said == 220* ]]
} 2> /dev/null

verb "${1:-install}"
