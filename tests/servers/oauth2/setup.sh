#!/bin/bash
# A real OAuth 2.0 server from Debian's packages (Glewlwyd of bookworm, its OpenID Connect plugin) in a folder: nothing installed on the
# machine. Everything it says and hears stays on the loopback.
#
#   setup.sh [install]   about 55 MB, about 10 s with the download
#   setup.sh up          starts it on 127.0.0.1:$OAUTH2_PORT with an empty database, and makes user and clients
#   setup.sh serve       in the foreground: exec's the server, for a caller that keeps the process itself
#   setup.sh down        ends exactly the process group that `up` started
#
#   OAUTH2_HOME   where everything lies (default: .cache/oauth2 of the checkout)
#   OAUTH2_PORT   default 14593
#
# Afterwards $OAUTH2_HOME/oauth2.env holds the address, the accounts and the client's key. Needs apt, dpkg-deb, tar, openssl, curl and root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${OAUTH2_HOME:-$here/../../../.cache/oauth2}
port=${OAUTH2_PORT:-14593}
mkdir -p "$home/log"
home=$(cd "$home" && pwd -P)
root=$home/root
url=http://127.0.0.1:$port
[ "$(id -u)" = 0 ] || { echo "root is needed (chroot)" >&2; exit 1; }
# shellcheck source=tests/servers/unpack.sh
. "$here/../unpack.sh"

fetch() {
    # Its scripts want accounts, questions and a boot; the server does not.
    have="init-system-helpers=9.99 debconf=9.99 adduser=3.999 ucf=9.99 dbconfig-common=9.99 dbconfig-no-thanks=9.99" \
        unpack "$home" bookworm glewlwyd || return 1
    chroot "$root.new" /usr/bin/glewlwyd --version > "$root.new/.version" || return 1
    # The tables, and the account `admin` with which everything else is made.
    chroot "$root.new" /usr/bin/sqlite3 /.empty.db < "$root.new/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3" || return 1
    rm -rf "$root"
    mv "$root.new" "$root"
}

configure() { # ours, written each time: the port may be another
    # Its own page to sign in at: the package links to a folder where the page's settings belong, and out of the folder, where the server serves nothing.
    local page=$root/usr/share/glewlwyd
    cp --remove-destination "$page/templates/config.json" "$page/webapp/config.json"
    cp --remove-destination "$root/usr/share/javascript/jquery/jquery.min.js" "$page/webapp/js/jquery.min.js"
    [ -s "$home/client.pem" ] || openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$home/client.pem" 2> "$home/log/openssl.log"
    openssl pkey -in "$home/client.pem" -pubout -out "$home/client.pub"
    cat > "$root/etc/glewlwyd.conf" << CONF
port=$port
bind_address="127.0.0.1"
external_url="$url"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="WARNING"
cookie_secure=0
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
hash_algorithm="SHA512"
static_files_path="/usr/share/glewlwyd/webapp"
static_files_mime_types = (
    { extension = ".html"; mime_type = "text/html"; compress = 0; }, { extension = ".css"; mime_type = "text/css"; compress = 0; },
    { extension = ".js"; mime_type = "application/javascript"; compress = 0; }, { extension = ".json"; mime_type = "application/json"; compress = 0; },
    { extension = ".ico"; mime_type = "image/x-icon"; compress = 0; }, { extension = "*"; mime_type = "application/octet-stream"; compress = 0; }
);
database = { type = "sqlite3"; path = "/glewlwyd.db"; };
CONF
}

serve() {
    configure
    rm -f "$root"/glewlwyd.db-*
    cp "$root/.empty.db" "$root/glewlwyd.db"
    # Kept in the file: a commit then waits for the disk once, not three times (ten seconds were seen on a busy machine).
    chroot "$root" /usr/bin/sqlite3 /glewlwyd.db 'PRAGMA journal_mode=WAL' > /dev/null
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" /usr/bin/glewlwyd --config-file=/etc/glewlwyd.conf
}

# make WHAT JSON: by the server's own administration.
make() {
    local said
    said=$(curl -s -S -b "$home/cookies" -w ' %{http_code}' -H 'Content-Type: application/json' -d "$2" "$url/api/$1") || return 1
    [ "${said##* }" = 200 ] || { echo "$1 is refused: $said" >&2; return 1; }
}

provision() {
    curl -s -S -f -o /dev/null -c "$home/cookies" -H 'Content-Type: application/json' \
        -d '{"username": "admin", "password": "password"}' "$url/api/auth/" || return 1
    make scope/ '{"name": "crm", "display_name": "CRM", "password_required": false}'
    make user/ '{"username": "linecard", "password": "user-pass-1", "name": "Linecard", "enabled": true, "scope": ["crm", "g_profile"]}'
    # Who holds a token of scope crm may ask what a token is: that is the system that is asked in tests.
    make mod/plugin/ '{"module": "oidc", "name": "oidc", "display_name": "tests", "enabled": true, "parameters": {
        "iss": "'$url'", "jwt-type": "sha", "jwt-key-size": "256", "key": "a key of the tests", "code-duration": 600,
        "refresh-token-duration": 1209600, "access-token-duration": 3600, "refresh-token-one-use": "always", "allow-non-oidc": true,
        "auth-type-client-enabled": true, "auth-type-code-enabled": true, "auth-type-password-enabled": true,
        "auth-type-refresh-enabled": true, "pkce-allowed": true, "request-parameter-allow": true, "request-maximum-exp": 3600,
        "client-pubkey-parameter": "pubkey", "introspection-revocation-allowed": true,
        "introspection-revocation-allow-target-client": true, "introspection-revocation-auth-scope": ["crm"]}}'
    local kind='"enabled": true, "confidential": true, "scope": ["crm"], "redirect_uri": ["http://127.0.0.1:18765/back"],
        "authorization_type": ["client_credentials", "password", "code", "refresh_token"]'
    make client/ "{\"client_id\": \"basic\", \"client_secret\": \"client secret+1\", \"token_endpoint_auth_method\": [\"client_secret_basic\"], $kind}"
    make client/ "{\"client_id\": \"body\", \"client_secret\": \"client secret+1\", \"token_endpoint_auth_method\": [\"client_secret_post\"], $kind}"
    make client/ "{\"client_id\": \"shared\", \"client_secret\": \"client secret+1\", \"token_endpoint_auth_method\": [\"client_secret_jwt\"], $kind}"
    make client/ "{\"client_id\": \"signing\", \"pubkey\": \"$(sed ':a;N;$!ba;s/\n/\\n/g' "$home/client.pub")\",
        \"token_endpoint_auth_method\": [\"private_key_jwt\"], $kind}"
    # The same server as an identity provider of people: its ID tokens are signed by a key that it publishes.
    make user/ '{"username": "boss", "password": "boss-pass-1", "name": "Boss", "email": "boss@example.com", "enabled": true, "scope": ["openid", "g_profile"]}'
    make user/ '{"username": "guest", "password": "guest-pass-1", "name": "Guest", "email": "guest@example.com", "enabled": true, "scope": ["openid", "g_profile"]}'
    make mod/plugin/ '{"module": "oidc", "name": "sso", "display_name": "people", "enabled": true, "parameters": {
        "iss": "'$url'/api/sso", "jwt-type": "rsa", "jwt-key-size": "256", "key": "'"$(one_line "$home/client.pem")"'",
        "cert": "'"$(one_line "$home/client.pub")"'", "code-duration": 600, "refresh-token-duration": 1209600, "access-token-duration": 3600,
        "auth-type-code-enabled": true, "pkce-allowed": true, "pkce-required": true, "email-claim": "mandatory", "jwks-show": true}}'
    make client/ '{"client_id": "console", "client_secret": "client secret+1", "token_endpoint_auth_method": ["client_secret_post"],
        "enabled": true, "confidential": true, "scope": ["openid"], "redirect_uri": ["http://127.0.0.1:18766/admin/oidc/back"],
        "authorization_type": ["code"]}'
}

one_line() { sed ':a;N;$!ba;s/\n/\\n/g' "$1"; } # as JSON has it

facts() {
    cat > "$home/oauth2.env.new" << FACTS
OAUTH2_URL=$url
OAUTH2_USER=linecard
OAUTH2_PASSWORD=user-pass-1
OAUTH2_SECRET='client secret+1'
OAUTH2_WRONG=not-this-one
OAUTH2_KEY=$home/client.pem
FACTS
    mv "$home/oauth2.env.new" "$home/oauth2.env"
}

ours() { # ours PID: is it the Glewlwyd of this folder, and no stranger that got its number later?
    [ "$(readlink "/proc/$1/root")" = "$root" ] && [[ $(readlink "/proc/$1/exe") == */glewlwyd ]]
} 2> /dev/null

down() {
    local pid
    [ -s "$home/oauth2.pid" ] || return 0
    pid=$(cat "$home/oauth2.pid")
    rm -f "$home/oauth2.pid"
    ours "$pid" || return 0
    kill -TERM -- "-$pid" 2> /dev/null || return 0
    for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || return 0; sleep 0.05; done
    kill -KILL -- "-$pid" 2> /dev/null || true
}

case "${1:-install}" in
install)
    # One at a time: two checks of one checkout must not unpack into one folder.
    exec 9> "$home/lock"
    flock 9
    if [ ! -s "$root/.version" ]; then fetch || { echo "no OAuth 2.0 server could be had" >&2; exit 1; }; fi
    configure
    facts
    cat "$root/.version"
    ;;
serve) serve ;;
up)
    [ -s "$home/oauth2.env" ] || { echo "no OAuth 2.0 server in $home: setup.sh makes it" >&2; exit 1; }
    down
    setsid "$0" serve >> "$home/log/glewlwyd.log" 2>&1 < /dev/null &
    pid=$!
    echo $pid > "$home/oauth2.pid"
    for _ in $(seq 200); do
        if curl -s -o /dev/null --max-time 2 "$url/api/auth/"; then
            provision || { down; exit 1; }
            echo "oauth2 up on 127.0.0.1:$port"
            exit 0
        fi
        kill -0 $pid 2> /dev/null || break
        sleep 0.05
    done
    down
    echo "the OAuth 2.0 server does not answer: $home/log/glewlwyd.log" >&2
    exit 1
    ;;
down) down ;;
*) echo "usage: setup.sh install|up|serve|down" >&2; exit 2 ;;
esac
