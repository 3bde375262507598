#!/bin/bash
# A real Redmine (Debian's package of the trixie suite, SQLite, Puma) in a chroot, filled with the customers of ../customers.json.
#
#   setup.sh install   makes the chroot, installs and seeds: about two minutes, 1 GiB; seconds when it is there already
#   setup.sh up        starts it on 127.0.0.1:$REDMINE_PORT and waits until it answers
#   setup.sh serve     the same in the foreground: exec's the server, for a caller that keeps the process itself
#   setup.sh down      ends exactly the process group that `up` started
#
#   REDMINE_HOME   where everything lies (default: .cache/redmine of the checkout)
#   REDMINE_PORT   default 18300
#
# Afterwards $REDMINE_HOME/redmine.env holds the address, keys and field ids. Needs root and debootstrap. Packages come from the
# archive that the machine's own apt sources name.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${REDMINE_HOME:-$here/../../../.cache/redmine}
port=${REDMINE_PORT:-18300}
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

# A clean environment, with the time zone of the people in the story.
clean=(/usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive TZ=Asia/Shanghai
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
inside() { chroot "$root" "${clean[@]}" "$@"; }
# As the web server's account, in Redmine's environment.
as_redmine=(chroot --userspec=www-data:www-data / /usr/bin/env RAILS_ENV=production REDMINE_LANG=zh X_DEBIAN_SITEID=default
    HOME=/var/lib/redmine)

install_root() {
    [ ! -e "$root/.ready" ] || return 0
    rm -rf "$root"
    local from
    from=$(archive)
    [ -n "$from" ] || { echo "no Debian archive in this machine's apt sources" >&2; return 1; }
    debootstrap --variant=minbase --include=ca-certificates trixie "$root" "$from" > "$home/log/debootstrap.log" 2>&1
    printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    {
        echo force-unsafe-io
        printf 'path-exclude=/usr/share/%s/*\n' doc man locale
    } > "$root/etc/dpkg/dpkg.cfg.d/fast"
    printf 'APT::Install-Recommends "0";\nAcquire::Languages "none";\nAPT::Sandbox::User "root";\n' > "$root/etc/apt/apt.conf.d/99fast"
    touch "$root/.ready"
}

install_redmine() {
    [ ! -e "$root/.redmine" ] || return 0
    inside debconf-set-selections <<'ANSWERS'
redmine redmine/instances/default/dbconfig-install boolean true
redmine redmine/instances/default/database-type select sqlite3
redmine redmine/default-language select zh
redmine redmine/current-instances string default
ANSWERS
    inside apt-get -qq update >> "$home/log/apt.log" 2>&1
    inside apt-get -y install --no-install-recommends redmine redmine-sqlite puma sqlite3 >> "$home/log/apt.log" 2>&1
    inside apt-get clean
    touch "$root/.redmine"
}

seed() {
    install -m 644 "$here/seed.rb" "$here/../customers.json" "$root/srv/"
    inside "${as_redmine[@]}" sh -c 'cd /usr/share/redmine && ruby bin/rails runner -e production /srv/seed.rb' > "$home/log/seed.log" 2>&1
    grep '^REDMINE_' "$home/log/seed.log" | sed "s#@URL@#http://127.0.0.1:$port#" > "$home/redmine.env.new"
    [ -s "$home/redmine.env.new" ] || return 1
    mv "$home/redmine.env.new" "$home/redmine.env"
}

mounted() { # packages and Ruby want /proc; nothing else of the machine is shown to the chroot
    mkdir -p "$root/proc"
    mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
}
unmount() { if mountpoint -q "$root/proc"; then umount "$root/proc" || true; fi; }

serve() {
    mounted
    exec chroot "$root" "${clean[@]}" "${as_redmine[@]}" \
        sh -c "cd /usr/share/redmine && exec puma -e production -w 0 -t 1:4 -b tcp://127.0.0.1:$port config.ru"
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
    mounted
    trap unmount EXIT
    install_redmine || { echo "the packages could not be installed: $home/log/apt.log" >&2; exit 1; }
    seed || { echo "seeding failed: $home/log/seed.log" >&2; exit 1; }
    echo "redmine installed in $(($(date +%s) - began)) s; $home/redmine.env"
    ;;
serve) serve ;;
up)
    setsid "$0" serve >> "$home/log/puma.log" 2>&1 < /dev/null &
    echo $! > "$home/puma.pid"
    for _ in $(seq 90); do
        if curl -s -o /dev/null --max-time 5 "http://127.0.0.1:$port/login"; then echo "redmine up on 127.0.0.1:$port"; exit 0; fi
        kill -0 "$(cat "$home/puma.pid")" 2>/dev/null || break
        sleep 1
    done
    echo "redmine does not answer: $home/log/puma.log" >&2
    exit 1
    ;;
down)
    if [ -s "$home/puma.pid" ]; then ends "$(cat "$home/puma.pid")"; rm -f "$home/puma.pid"; fi
    unmount
    ;;
*) echo "usage: setup.sh install|up|serve|down" >&2; exit 2 ;;
esac
