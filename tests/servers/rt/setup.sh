#!/bin/bash
# A real Request Tracker 5 (Debian's package of the trixie suite, SQLite, its own standalone server) in a chroot, filled with the customers of
# ../customers.json.
#
#   setup.sh install   makes the chroot, installs and seeds: about two minutes, 0.8 GiB; seconds when it is there already
#   setup.sh up        starts it on 127.20.0.85:8500 in the network namespace of the caller and waits until it answers
#   setup.sh serve     the same in the foreground: exec's the server, for a caller that keeps the process itself
#   setup.sh down      ends exactly the process group that `up` started; `crash` does it by SIGKILL
#
#   RT_HOME   where everything lies (default: .cache/rt of the checkout)
#
# Afterwards $RT_HOME/rt.env holds the address and the token. Needs root and debootstrap, for the packages' own scripts make the database. No mail
# leaves it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=rt
home=${RT_HOME:-$here/../../../.cache/rt}
mkdir -p "$home/log"
home=$(cd "$home" && pwd -P)
root=$home/root
exe=/perl
ip=127.20.0.85
port=8500
# shellcheck source=tests/servers/unpack.sh
. "$here/../unpack.sh"
# shellcheck source=tests/servers/service.sh
. "$here/../service.sh"

clean=(/usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive TZ=UTC
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
inside() { chroot "$root" "${clean[@]}" "$@"; }

fetch() {
    local from
    from=$(archive)
    [ -n "$from" ] || { echo "no Debian archive in this machine's apt sources" >&2; return 1; }
    rm -rf "$root"
    LC_ALL=C.UTF-8 debootstrap --variant=minbase --include=ca-certificates trixie "$root" "$from" > "$home/log/debootstrap.log" 2>&1 || return 1
    printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    {
        echo force-unsafe-io
        printf 'path-exclude=/usr/share/%s/*\n' doc man locale
    } > "$root/etc/dpkg/dpkg.cfg.d/fast"
    printf 'APT::Install-Recommends "0";\nAcquire::Languages "none";\nAPT::Sandbox::User "root";\n' > "$root/etc/apt/apt.conf.d/99fast"
    inside debconf-set-selections << 'ANSWERS' || return 1
request-tracker5 request-tracker5/rtname string example.com
request-tracker5 request-tracker5/organization string example.com
request-tracker5 request-tracker5/handle-siteconfig-permissions boolean true
request-tracker5 request-tracker5/initial-root-password password only-in-this-chroot
request-tracker5 request-tracker5/initial-root-password-confirm password only-in-this-chroot
request-tracker5 request-tracker5/dbconfig-install boolean true
request-tracker5 request-tracker5/database-type select sqlite3
request-tracker5 request-tracker5/install-cronjobs boolean false
ANSWERS
    # Packages want /proc; nothing else of the machine is shown to them.
    unshare --mount bash -e -c '
        mount -t proc proc "$1/proc"
        shift
        "$@" apt-get -qq update
        "$@" apt-get -y install --no-install-recommends request-tracker5 rt5-db-sqlite rt5-standalone
        "$@" apt-get clean' - "$root" chroot "$root" "${clean[@]}" > "$home/log/apt.log" 2>&1 || return 1
    cat > "$root/etc/request-tracker5/RT_SiteConfig.d/99-linecard.pm" << SETTINGS || return 1
Set(\$WebPath, "");
Set(\$WebDomain, "$ip");
Set(\$WebPort, $port);
Set(\$WebBaseURL, "http://$ip:$port");
Set(\$MailCommand, "testfile");
Set(\$Timezone, "UTC");
1;
SETTINGS
    touch "$root/.ready"
}

installs() {
    [ -e "$root/.ready" ] || fetch || return 1
    # Every time, for it takes a second: what is there already stays, the token is a new one.
    install -m 644 "$here/seed.pl" "$here/../customers.json" "$root/srv/" || return 1
    inside perl /srv/seed.pl > "$home/log/seed.log" 2>&1 || return 1
    { echo "RT_URL=http://$ip:$port"; grep '^RT_TOKEN=' "$home/log/seed.log"; } > "$home/rt.env.new" || return 1
    mv "$home/rt.env.new" "$home/rt.env"
}

serve() {
    exec chroot "$root" "${clean[@]}" /usr/bin/perl /usr/share/request-tracker5/libexec/rt-server --server Standalone --host $ip --port $port
}

answers() { [ "$(curl -s -o /dev/null --max-time 5 -w '%{http_code}' "http://$ip:$port/REST/2.0/rt")" = 401 ]; }

verb "${1:-install}"
