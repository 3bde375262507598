#!/bin/bash
# openapi.sh LINECARD SCHEMATHESIS: asks everything that docs/protocol/openapi.json describes, of the demo's daemon, in ways that are right and ways that are wrong: no
# answer of 500, none that the document does not know, none outside its schema. In a network namespace of its own (unshare --net).
#
# Left out: signing in and out (it would end the session of the others), what other listeners take, and the check that each question which fits the schema is taken:
# no schema says which lines a table must have.
set -euo pipefail
linecard=$1 schemathesis=$2
base=http://127.0.0.1:7781
folder=$(mktemp -d)
trap 'kill "$demo" 2> /dev/null || true; wait "$demo" 2> /dev/null || true; rm -rf "$folder"' EXIT
ip link set lo up
"$linecard" demo --by-hand --data "$folder/data" < /dev/null > "$folder/said" 2>&1 &
demo=$!
until grep -q '/admin' "$folder/said"; do
    kill -0 "$demo" 2> /dev/null || { cat "$folder/said"; exit 1; }
    sleep 0.1
done
curl -sS -f -o /dev/null -c "$folder/jar" -H 'X-Linecard: 1' -d '{"name": "admin", "password": "linecard-demo"}' $base/v1/session
cookie=$(awk '$6 == "linecard" {print $6 "=" $7}' "$folder/jar")
cd "$folder"
"$schemathesis" run $base/v1/openapi.json --checks all --exclude-checks positive_data_acceptance --max-examples 25 --seed "${SEED:-1}" \
    -H "Cookie: $cookie" -H 'X-Linecard: 1' --request-timeout 20 --exclude-path /v1/session --exclude-path /v1/route-hint \
    --exclude-path /v1/people/forget --exclude-path /v1/trunks/unmapped --exclude-path-regex '/v1/(hooks|calls)/.*'
