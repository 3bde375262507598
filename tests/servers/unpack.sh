# shellcheck shell=bash
# How a server is unpacked from Debian's packages into a folder: no debootstrap, no maintainer scripts, no daemon, nothing installed on
# the machine. To be sourced by a setup.sh; needs apt, dpkg-deb, tar and root.

# The archive this machine already uses (deb822 first, then one-line files).
archive() { # one of the two kinds of files is usually missing, so a failed cat is no failure
    {
        cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p'
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
            sed -n 's/^deb[[:space:]]\+\(\[[^]]*\][[:space:]]*\)\{0,1\}\([^[:space:]]*\).*/\2/p'
    } | grep -E '/debian/?$|mirror' | grep -v security | sed -n 1p || true
}

# unpack HOME SUITE PACKAGE...: into HOME/root.new, with all that the packages stand on, a few devices and an /etc of its own. HOME/apt is
# kept, so that a second time needs no download. The caller adds what is its own and then moves root.new to its place.
#   have="NAME=VERSION ..."   packages to do without, though others name them
#   leave="./etc/NAME ..."    paths that are not unpacked
unpack() {
    local home=$1 suite=$2 root=$1/root.new from deb d n
    shift 2
    from=$(archive)
    [ -n "$from" ] || { echo "no Debian archive in this machine's apt sources" >&2; return 1; }
    mkdir -p "$home/apt/lists/partial" "$home/apt/cache/archives/partial" "$home/apt/empty/partial"
    for n in ${have:-}; do
        printf 'Package: %s\nStatus: install ok installed\nArchitecture: all\nMulti-Arch: foreign\nVersion: %s\n\n' "${n%%=*}" "${n#*=}"
    done > "$home/apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from $suite main" > "$home/apt/sources.list"
    local apt=(apt-get -qq -y
        -oDir::Etc::SourceList="$home/apt/sources.list" -oDir::Etc::SourceParts=/dev/null
        -oDir::Etc::Preferences=/dev/null -oDir::Etc::PreferencesParts=/dev/null
        -oDir::State="$home/apt" -oDir::State::Lists="$home/apt/lists" -oDir::State::status="$home/apt/status"
        -oDir::Cache="$home/apt/cache" -oAPT::Install-Recommends=false -oAPT::Sandbox::User=
        -oAcquire::Languages=none -oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -oDebug::NoLocking=1 -oAcquire::Retries=3)
    "${apt[@]}" update || return 1
    # An empty dpkg status makes apt fetch everything that the packages stand on. The list is asked for with an empty
    # archive folder, because apt does not print what it already has.
    "${apt[@]}" -oDir::Cache::archives="$home/apt/empty" --print-uris install "$@" |
        sed "s/^'[^']*' \([^ ]*\) .*/\1/" | sort > "$home/apt/closure.$suite" || return 1
    [ -s "$home/apt/closure.$suite" ] || return 1
    "${apt[@]}" --download-only install "$@" || return 1
    rm -rf "$root"
    mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64"
    for d in bin sbin lib lib64; do ln -s "usr/$d" "$root/$d"; done
    local without=(--exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale')
    for n in ${leave:-}; do without+=(--exclude="$n"); done
    while read -r deb; do
        dpkg-deb --fsys-tarfile "$home/apt/cache/archives/$deb" |
            tar -x --keep-directory-symlink --no-same-owner -C "$root" "${without[@]}" || return 1
    done < "$home/apt/closure.$suite"
    mkdir -p "$root/dev" "$root/proc" "$root/tmp" "$root/etc"
    for n in null zero random urandom; do
        [ -e "$root/dev/$n" ] || cp -a "/dev/$n" "$root/dev/" 2>/dev/null || : > "$root/dev/$n"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\n' > "$root/etc/passwd"
    printf 'root:x:0:\n' > "$root/etc/group"
    printf '127.0.0.1 localhost\n' > "$root/etc/hosts"
}
