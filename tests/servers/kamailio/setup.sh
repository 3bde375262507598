#!/bin/bash
# Unpacks a real Kamailio from Debian's packages into a folder: nothing installed on the machine. A second run only refreshes the
# configuration. Everything it says and hears stays on the loopback.
#
#   setup.sh [install] [FOLDER]   about 100 MB, about 10 s with the download
#   setup.sh up [FOLDER]          starts it in the network namespace of the caller and waits until all its doors answer
#   setup.sh down [FOLDER]        ends exactly the process group that `up` started
#   setup.sh crash [FOLDER]       the same by SIGKILL: registrations, calls and subscriptions are forgotten, nobody is told
#   setup.sh serve [FOLDER]       in the foreground: exec's the server, for a caller that keeps the process itself
#
#   KAMAILIO_HOME     where everything lies, if no FOLDER is given (default: .cache/kamailio of the checkout)
#   KAMAILIO_DEFINES  switches of etc/kamailio.cfg for `up` and `serve`, for example "WITH_SHA256"
#
# Afterwards FOLDER/kamailio.env holds its addresses, and the name and password of the watcher; an agent's password is agent-NAME. Needs
# apt, dpkg-deb, tar, openssl and root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
verb=install
case "${1:-}" in install | up | down | crash | serve) verb=$1; shift ;; esac
home=${1:-${KAMAILIO_HOME:-$here/../../../.cache/kamailio}}
mkdir -p "$home/log"
home=$(cd "$home" && pwd -P)
root=$home/root
ip=127.20.0.10
[ "$(id -u)" = 0 ] || { echo "root is needed (chroot)" >&2; exit 1; }
# shellcheck source=tests/servers/unpack.sh
. "$here/../unpack.sh"

# Debian 12's own; what our notes say of Kamailio was seen there.
fetch() {
    # Its scripts want Python, an account and a boot; the server does not.
    have="python3=3.99 adduser=3.999 lsb-base=99 debconf=9.99 init-system-helpers=9.99" leave=./etc/kamailio unpack "$home" bookworm \
        kamailio kamailio-presence-modules kamailio-tls-modules kamailio-websocket-modules || return 1
    chroot "$root.new" /usr/sbin/kamailio -v > "$root.new/.out" || return 1
    sed -n '1s/^version: //p' "$root.new/.out" > "$root.new/.version"
    rm -rf "$root"
    mv "$root.new" "$root"
}

# An authority of our own and a certificate by it, so that a client has something to verify.
certify() {
    local tls=$home/tls key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
    # Made anew after a month, long before it ends.
    [ -z "$(find "$tls/cert.pem" -mtime -30 2> /dev/null)" ] || return 0
    rm -rf "$tls"
    mkdir -p "$tls"
    openssl req -x509 "${key[@]}" -keyout "$tls/ca.key" -out "$tls/ca.pem" -days 60 -subj '/CN=a test authority' 2> "$home/log/openssl.log"
    openssl req "${key[@]}" -keyout "$tls/key.pem" -out "$tls/csr.pem" -subj /CN=pbx.lab \
        -addext "subjectAltName=DNS:pbx.lab,URI:sip:pbx.lab,IP:$ip" 2>> "$home/log/openssl.log"
    openssl x509 -req -in "$tls/csr.pem" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -out "$tls/cert.pem" -days 60 \
        -copy_extensions copy 2>> "$home/log/openssl.log"
}

configure() { # ours only
    rm -rf "$root/etc/kamailio"
    mkdir -p "$root/etc/kamailio" "$root/var/run/kamailio" "$root/var/lib/kamailio"
    cp "$here"/etc/* "$home/tls/cert.pem" "$home/tls/key.pem" "$root/etc/kamailio/"
    # The package with this list is not among them; without it TCP does without its options.
    printf 'tcp 6 TCP\nudp 17 UDP\n' > "$root/etc/protocols"
    # Presence will not start without a database. Its tables lie in text files that stay as they are: what it knows, it keeps in memory.
    rm -rf "$root/var/lib/kamailio/tables"
    cp -r "$root/usr/share/kamailio/dbtext/kamailio" "$root/var/lib/kamailio/tables"
}

facts() {
    cat > "$home/kamailio.env.new" <<FACTS
KAMAILIO_DOMAIN=pbx.lab
KAMAILIO_UDP=$ip:5060
KAMAILIO_TCP=$ip:5060
KAMAILIO_TLS=$ip:5061
KAMAILIO_WS=ws://$ip:8080/
KAMAILIO_WSS=wss://$ip:8443/
KAMAILIO_CA=$home/tls/ca.pem
KAMAILIO_AGENTS=1001,1002,1003
KAMAILIO_WATCHER=cti
KAMAILIO_WATCHER_PASSWORD=watch-cti
KAMAILIO_TRUNK=127.20.0.200
KAMAILIO_DIDS=+861085551001,+861085551002,+861085551003
KAMAILIO_HEP=127.0.0.1:9060
KAMAILIO_HEP_KEY=hep-key
KAMAILIO_HEP_ID=2001
KAMAILIO_PID=$home/kamailio.pid
KAMAILIO_LOG=$home/log/kamailio.log
FACTS
    mv "$home/kamailio.env.new" "$home/kamailio.env"
}

serve() {
    local switches=() name
    for name in ${KAMAILIO_DEFINES:-}; do switches+=(-A "$name"); done
    configure
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" \
        /usr/sbin/kamailio -DD -E -m 64 -M 8 -f /etc/kamailio/kamailio.cfg "${switches[@]}"
}

answers() { # a 200 to OPTIONS by UDP, and somebody at each of the other doors
    local port ask=$home/log/options said
    for port in 5060 5061 8080 8443; do (: <> "/dev/tcp/$ip/$port") 2> /dev/null || return 1; done
    printf '%s\r\n' 'OPTIONS sip:pbx.lab SIP/2.0' "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKup$RANDOM;rport" 'Max-Forwards: 70' \
        'From: <sip:up@pbx.lab>;tag=up' 'To: <sip:pbx.lab>' "Call-ID: up$RANDOM" 'CSeq: 1 OPTIONS' 'Content-Length: 0' '' > "$ask"
    # By dd, because the shell itself writes a datagram a line and reads them a byte at a time.
    exec 3<> "/dev/udp/$ip/5060" || return 1
    dd if="$ask" bs=4096 status=none >&3 2> /dev/null || true
    said=$(timeout 1 dd bs=4096 count=1 status=none <&3 2> /dev/null | tr -d '\0') || true
    exec 3>&-
    [[ $said == "SIP/2.0 200"* ]]
}

ours() { # ours PID: is it the Kamailio of this folder, and no stranger that got its number later?
    [ "$(readlink "/proc/$1/root")" = "$root" ] && [[ $(readlink "/proc/$1/exe") == */kamailio ]]
} 2> /dev/null

ends() { # ends SIGNAL: what `up` started
    local pid
    [ -s "$home/kamailio.pid" ] || return 0
    pid=$(cat "$home/kamailio.pid")
    rm -f "$home/kamailio.pid"
    ours "$pid" || return 0
    # Politely to the first process, which tells the others; all at once, some wait for one that is gone.
    if [ "$1" = TERM ]; then kill -TERM "$pid" 2> /dev/null || true; else kill -KILL -- "-$pid" 2> /dev/null || true; fi
    for _ in $(seq 100); do kill -0 -- "-$pid" 2> /dev/null || return 0; sleep 0.05; done
    kill -KILL -- "-$pid" 2> /dev/null || true
}

case "$verb" in
install)
    # One at a time: two checks of one checkout must not unpack into one folder.
    exec 9> "$home/lock"
    flock 9
    if [ ! -s "$root/.version" ]; then fetch || { echo "no Kamailio could be had" >&2; exit 1; }; fi
    certify || { echo "no certificate could be made: $home/log/openssl.log" >&2; exit 1; }
    configure
    chroot "$root" /usr/sbin/kamailio -c -f /etc/kamailio/kamailio.cfg > "$home/log/check.log" 2>&1 ||
        { echo "the configuration is refused: $home/log/check.log" >&2; exit 1; }
    facts
    cat "$root/.version"
    ;;
serve) serve ;;
up)
    [ -s "$home/kamailio.env" ] || { echo "no Kamailio in $home: setup.sh makes it" >&2; exit 1; }
    ends TERM
    setsid "$here/setup.sh" serve "$home" >> "$home/log/kamailio.log" 2>&1 < /dev/null &
    pid=$!
    echo $pid > "$home/kamailio.pid"
    last=$((SECONDS + 20))
    while [ $SECONDS -lt $last ]; do
        if answers; then echo "kamailio up on $ip"; exit 0; fi
        kill -0 $pid 2> /dev/null || break
        sleep 0.05
    done
    ends TERM
    echo "kamailio does not answer: $home/log/kamailio.log" >&2
    exit 1
    ;;
down) ends TERM ;;
crash) ends KILL ;;
esac
