# shellcheck shell=bash
# What a server of one process has in common with the next: a certificate, a start that waits for an answer, an end that ends nobody else's
# process. To be sourced by a setup.sh after unpack.sh. It says `name`, `home`, `root` and `exe` (the end of the server's path in its root), and has
# the functions `serve` (exec's the server) and `answers` (is it ready?).

# certify NAME IP [ACCOUNT]: an authority of our own in $home/tls/ca.pem, and a certificate by it for the server (cert.pem, key.pem) in $home/tls and
# in $root/tls, where the account may read it.
certify() {
    local tls=$home/tls key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
    # Made anew after a month, long before it ends.
    if [ -z "$(find "$tls/cert.pem" -mtime -30 2> /dev/null)" ]; then
        rm -rf "$tls"
        mkdir -p "$tls"
        openssl req -x509 "${key[@]}" -keyout "$tls/ca.key" -out "$tls/ca.pem" -days 60 -subj '/CN=a test authority' 2> "$home/log/openssl.log"
        openssl req "${key[@]}" -keyout "$tls/key.pem" -out "$tls/csr.pem" -subj "/CN=$1" \
            -addext "subjectAltName=DNS:$1,IP:$2" 2>> "$home/log/openssl.log"
        openssl x509 -req -in "$tls/csr.pem" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -out "$tls/cert.pem" -days 60 \
            -copy_extensions copy 2>> "$home/log/openssl.log"
    fi
    install -d -m 755 "$root/tls"
    install -m 644 "$tls/ca.pem" "$tls/cert.pem" "$root/tls/"
    install -m 600 "$tls/key.pem" "$root/tls/"
    if [ -n "${3:-}" ]; then chown "$3" "$root/tls/key.pem"; fi
}

ours() { # ours PID: is it the server of this folder, and no stranger that got its number later?
    [ "$(readlink "/proc/$1/root")" = "$root" ] && [[ $(readlink "/proc/$1/exe") == *"$exe" ]]
} 2> /dev/null

ends() { # ends SIGNAL: the process group that `begin` made
    local pid
    [ -s "$home/$name.pid" ] || return 0
    pid=$(cat "$home/$name.pid")
    rm -f "$home/$name.pid"
    ours "$pid" || return 0
    # Politely to the first process, which tells the others.
    if [ "$1" = KILL ]; then kill -KILL -- "-$pid" 2> /dev/null || true; else kill "-$1" "$pid" 2> /dev/null || true; fi
    for _ in $(seq 200); do kill -0 -- "-$pid" 2> /dev/null || return 0; sleep 0.05; done
    kill -KILL -- "-$pid" 2> /dev/null || true
}

begin() { # in the network namespace of the caller, until it answers
    local pid last=$((SECONDS + 60))
    setsid "$here/setup.sh" serve >> "$home/log/$name.log" 2>&1 < /dev/null &
    pid=$!
    echo $pid > "$home/$name.pid"
    while [ $SECONDS -lt $last ]; do
        if answers; then return 0; fi
        kill -0 $pid 2> /dev/null || break
        sleep 0.05
    done
    ends TERM
    echo "$name does not answer: $home/log/$name.log" >&2
    return 1
}

# The verbs that they all have; `installs` makes everything and is told once at a time.
verb() {
    [ "$(id -u)" = 0 ] || { echo "root is needed (chroot)" >&2; exit 1; }
    case "$1" in
    install)
        exec 9> "$home/lock"
        flock 9
        local began=$SECONDS
        installs || { echo "no $name could be had: $home/log" >&2; exit 1; }
        echo "$name installed in $((SECONDS - began)) s; $home/$name.env"
        ;;
    serve) serve ;;
    up)
        [ -s "$home/$name.env" ] || { echo "no $name in $home: setup.sh makes it" >&2; exit 1; }
        ends "${polite:-TERM}"
        begin || exit 1
        echo "$name up"
        ;;
    down) ends "${polite:-TERM}" ;;
    crash) ends KILL ;;
    *) echo "usage: setup.sh install|up|serve|down|crash" >&2; exit 2 ;;
    esac
}
