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

# The archive this machine already uses (deb822 first, then one-line files).
archive() { # one of the two kinds of files is usually missing, so a failed cat is no failure
    {
        cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p'
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
            sed -n 's/^deb[[:space:]]\+\(\[[^]]*\][[:space:]]*\)\{0,1\}\([^[:space:]]*\).*/\2/p'
    } | grep -E '/debian/?$|mirror' | grep -v security | sed -n 1p || true
}

fetch() { # fetch SUITE: unpacks into $root
    local suite=$1 from deb d n
    from=$(archive)
    [ -n "$from" ] || { echo "no Debian archive in this machine's apt sources" >&2; return 1; }
    mkdir -p "$home/apt/lists/partial" "$home/apt/cache/archives/partial" "$home/apt/empty/partial"
    : > "$home/apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from $suite main" > "$home/apt/sources.list"
    local apt=(apt-get -qq -y
        -oDir::Etc::SourceList="$home/apt/sources.list" -oDir::Etc::SourceParts=/dev/null
        -oDir::Etc::Preferences=/dev/null -oDir::Etc::PreferencesParts=/dev/null
        -oDir::State="$home/apt" -oDir::State::Lists="$home/apt/lists" -oDir::State::status="$home/apt/status"
        -oDir::Cache="$home/apt/cache" -oAPT::Install-Recommends=false -oAPT::Sandbox::User=
        -oAcquire::Languages=none -oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -oDebug::NoLocking=1 -oAcquire::Retries=3)
    "${apt[@]}" update || return 1
    # An empty dpkg status makes apt fetch everything that Asterisk stands on. The list is asked for with an empty
    # archive folder, because apt does not print what it already has.
    local want=(asterisk asterisk-core-sounds-en-gsm base-files dash)
    "${apt[@]}" -oDir::Cache::archives="$home/apt/empty" --print-uris install "${want[@]}" |
        sed "s/^'[^']*' \([^ ]*\) .*/\1/" | sort > "$home/apt/closure.$suite" || return 1
    [ -s "$home/apt/closure.$suite" ] || return 1
    "${apt[@]}" --download-only install "${want[@]}" || return 1
    rm -rf "$root.new"
    mkdir -p "$root.new/usr/bin" "$root.new/usr/sbin" "$root.new/usr/lib" "$root.new/usr/lib64"
    for d in bin sbin lib lib64; do ln -s "usr/$d" "$root.new/$d"; done
    while read -r deb; do
        dpkg-deb --fsys-tarfile "$home/apt/cache/archives/$deb" |
            tar -x --keep-directory-symlink --no-same-owner -C "$root.new" \
                --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' \
                --exclude='./etc/asterisk' || return 1
    done < "$home/apt/closure.$suite"
    mkdir -p "$root.new/dev" "$root.new/proc" "$root.new/tmp" "$root.new/etc/asterisk"
    for n in null zero random urandom; do
        [ -e "$root.new/dev/$n" ] || cp -a "/dev/$n" "$root.new/dev/" 2>/dev/null || : > "$root.new/dev/$n"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nasterisk:x:100:100::/var/lib/asterisk:/bin/sh\n' > "$root.new/etc/passwd"
    printf 'root:x:0:\nasterisk:x:100:\n' > "$root.new/etc/group"
    printf '127.0.0.1 localhost\n' > "$root.new/etc/hosts"
    rm -rf "$root"
    mv "$root.new" "$root"
    chroot "$root" /usr/sbin/asterisk -V > "$root/.version" || return 1
    echo "$(cat "$root/.version") ($suite)" > "$root/.version"
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
