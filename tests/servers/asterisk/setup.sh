#!/bin/bash
# Unpacks a real Asterisk from Debian's packages into a folder: no debootstrap, no maintainer scripts, no daemon, nothing
# installed on the machine. A second run only refreshes the configuration.
#
#   setup.sh [FOLDER]        default: .cache/asterisk of the checkout (about 350 MB; 12 to 30 s with the download)
#
# Needs apt, dpkg-deb, tar and root. Debian 12 has no Asterisk of its own, so the packages come from another suite of
# the archive that the machine's own apt sources name; keep FOLDER/apt/cache/archives to save the download.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${1:-$here/../../../.cache/asterisk}
mkdir -p "$home"
home=$(cd "$home" && pwd)
root=$home/root

# shellcheck source=tests/servers/unpack.sh
. "$here/../unpack.sh"

fetch() { # fetch SUITE: unpacks into $root
    leave=./etc/asterisk unpack "$home" "$1" asterisk asterisk-core-sounds-en-gsm base-files dash || return 1
    echo 'asterisk:x:100:100::/var/lib/asterisk:/bin/sh' >> "$root.new/etc/passwd"
    echo 'asterisk:x:100:' >> "$root.new/etc/group"
    rm -rf "$root"
    mv "$root.new" "$root"
    chroot "$root" /usr/sbin/asterisk -V > "$root/.version" || return 1
    echo "$(cat "$root/.version") ($1)" > "$root/.version"
}

[ "$(id -u)" = 0 ] || { echo "root is needed (chroot)" >&2; exit 1; }
if [ ! -s "$root/.version" ]; then
    for suite in sid bullseye; do
        if fetch "$suite"; then break; fi
        rm -f "$root/.version"
        echo "suite $suite did not give a working Asterisk" >&2
    done
fi
[ -s "$root/.version" ] || { echo "no Asterisk could be had" >&2; exit 1; }

# Configuration: ours only.
rm -rf "$root/etc/asterisk"
mkdir -p "$root/etc/asterisk"
cp "$here"/etc/*.conf "$root/etc/asterisk/"
mkdir -p "$root/var/lib/asterisk" "$root/var/log/asterisk" "$root/var/run/asterisk" "$root/run/asterisk" \
    "$root/var/spool/asterisk/monitor" "$root/var/spool/asterisk/outgoing" "$root/var/spool/asterisk/tmp"
# The link that the sound package's maintainer script would have made; without it announcements return at once.
sounds=$root/usr/share/asterisk/sounds
[ -e "$sounds/en" ] || for d in en_US_f_Allison en-us en; do
    if [ -d "$sounds/$d" ]; then ln -sfn "$d" "$sounds/en"; break; fi
done
# One sound file as music on hold, so that a held party hears something and the switch says so.
mkdir -p "$root/usr/share/asterisk/moh"
music=$(find "$sounds/" -name 'demo-instruct.gsm' | head -n 1)
[ -z "$music" ] || cp -f "$music" "$root/usr/share/asterisk/moh/hold.gsm"
cat "$root/.version"
