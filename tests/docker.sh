#!/usr/bin/env bash
# docker-compose-authzen4.yml, the way its first operator uses it: up, mint, paste, restart, read the logs and
# clients.yaml, log in, remove the token, restart, change the signing key.
#
# Needs a Docker Engine (DOCKER_HOST or the usual one) with the images bff:local and bff-idp:local, docker-compose
# (another one: COMPOSE="docker compose"), curl, openssl, and the ports 8000 and 9000 (BFF_PORT, IDP_PORT). Works on a copy of the
# compose file and its configuration; its containers and its volume are gone afterwards. scripts/phases/docker runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
source_dir=$PWD
. scripts/lib/recipes.sh
read -r -a compose <<<"${COMPOSE:-docker-compose}"
export BFF_PORT="${BFF_PORT:-8000}" IDP_PORT="${IDP_PORT:-9000}"
issuer="http://localhost:$IDP_PORT"
admin_token="admin-$RANDOM$RANDOM$RANDOM"
passed=0 started=$SECONDS

project=$(mktemp -d "${TMPDIR:-/tmp}/bff-compose.XXXXXX")
name=$(basename "$project" | tr '[:upper:].' '[:lower:]-')

dc() { (cd "$project" && "${compose[@]}" -p "$name" -f docker-compose-authzen4.yml "$@"); }

clean_up() {
  local code=$?
  trap - EXIT
  if [ "$code" != 0 ]; then
    echo "what the containers said last:" >&2
    dc logs --no-color --tail 40 >&2 || true
  fi
  dc down --volumes --timeout 5 >/dev/null 2>&1 || true
  rm -rf "$project"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# ok TEXT: one more thing holds.
ok() { passed=$((passed + 1)); printf '   %3s s  %s\n' "$((SECONDS - started))" "$1"; }
fail() { printf '   failed: %s\n' "$1" >&2; exit 1; }

# is WHAT ACTUAL WANTED
is() { if [ "$2" = "$3" ]; then ok "$1: $3"; else fail "$1 is \`$2\`, not \`$3\`"; fi; }

# has WHAT TEXT PART
has() { if grep -qF -- "$3" <<<"$2"; then ok "$1: $3"; else fail "$1 lacks \`$3\`: $2"; fi; }

# within SECONDS WHAT COMMAND...: until the command succeeds.
within() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    if ((SECONDS >= until)); then fail "$what: not within $((SECONDS - until + $1)) s"; fi
    sleep 0.2
  done
  ok "$what"
}

# recipe START: runs that block, on this project's compose file, ports and tokens.
recipe() {
  local text
  text=$(block "$source_dir/docker/README.md" "$1")
  text=${text//docker-compose -f docker-compose-authzen4.yml/dc}
  text=${text//http:\/\/localhost:9000/$issuer}
  text=${text//development-only/$admin_token}
  text=${text//<paste iat>/${iat:-}}
  text=${text//exec bff/exec -T bff}
  text=${text//logs -f/logs}
  # In a shell of its own, that stops at the first mistake.
  (cd "$project" && set -euo pipefail && eval "$text")
}

container() { dc ps -aq "$1"; }
logs() { docker logs "$(container "$1")" 2>&1; }
logs_have() { grep -qF -- "$2" <<<"$(logs "$1")"; }
inspect() { docker inspect --format "$2" "$(container "$1")"; }
healthy() { [ "$(inspect "$1" '{{.State.Health.Status}}')" = healthy ]; }
ready() { curl -fsS -o "$project/ready" "http://127.0.0.1:$BFF_PORT/health/ready" 2>/dev/null; }
# The keys volume as `tar` lists it: the image has no shell.
keys() { docker cp "$(container bff):/app/keys" -; }
kids() { curl -fsS "http://127.0.0.1:$BFF_PORT/.well-known/jwks.json" | grep -o '"kid":"[^"]*"' | cut -d '"' -f 4; }
key_file() { keys | tar -xO "keys/$1"; }

# settings DCR_IAT: what an operator writes into .env.
settings() {
  cat >"$project/.env" <<END
DCR_IAT=$1
OIDC_ISSUER=$issuer
IDP_ADMIN_TOKEN=$admin_token
BFF_PORT=$BFF_PORT
IDP_PORT=$IDP_PORT
END
}

# restart: what an operator does after a change of .env (`restart` alone would keep the old environment).
restart() { dc up -d --no-build >"$project/up" 2>&1 || { cat "$project/up" >&2; fail "compose up"; }; }

# === the files ===

cp docker-compose-authzen4.yml "$project/"
mkdir "$project/config"
cp -r config/ServiceConfigs "$project/config/"
clients="$project/config/ServiceConfigs/IdP/config/clients.yaml"
rm -f "$clients"
# On a laptop the folder belongs to a person, not to root.
if [ "$(id -u)" = 0 ]; then chown -R 1234:1234 "$(dirname "$clients")"; fi
for file in dcr_config.yaml users.yaml; do
  cmp "devstack/idp/sample/$file" "config/ServiceConfigs/IdP/config/$file" || fail "$file is not the IdP's sample"
done
(unset BFF_PORT IDP_PORT && dc config >"$project/config.out" 2>&1) || { cat "$project/config.out" >&2; fail "compose config without any setting"; }
ok "compose takes the file without any setting"

# === the image ===

is "user of the image" "$(docker image inspect --format '{{.Config.User}}' bff:local)" 65532:65532
has "variables of the image" "$(docker image inspect --format '{{.Config.Env}}' bff:local)" HOST=0.0.0.0
has "bff --version" "$(docker run --rm --read-only --network none bff:local --version)" "bff "
wrong=0
said=$(docker run --rm --network none bff:local 2>&1) || wrong=$?
is "exit code without settings" "$wrong" 64
has "what it says then" "$said" OIDC_ISSUER

# === up, without a token ===

settings ""
# A key of the operator's, before the first start.
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$project/fapi-adv-key-1.pem" 2>/dev/null
recipe 'docker-compose -f docker-compose-authzen4.yml up --no-start' >"$project/up" 2>&1 || { cat "$project/up" >&2; fail "up --no-start"; }
recipe 'docker-compose -f docker-compose-authzen4.yml up -d' >"$project/up" 2>&1 || { cat "$project/up" >&2; fail "up"; }
within 60 "without credentials the bff says what to do (exit 77)" logs_have bff DCR_IAT
has "what it says" "$(logs bff)" "initial access token"
within 30 "the IdP is healthy" healthy idp

# === mint, paste, restart ===

iat=$(recipe 'curl -sS -X POST http://localhost:9000/api/admin/dcr/initial-access-tokens \' |
  sed -n 's/.*"token":"\([^"]*\)".*/\1/p')
if [ -z "$iat" ]; then fail "the IdP minted no initial access token"; fi
ok "an initial access token is minted"
settings ""
recipe "echo 'DCR_IAT=<paste iat>' >>.env" >"$project/up" 2>&1 || { cat "$project/up" >&2; fail "the token is not taken"; }
within 60 "201 Created" logs_have bff "201 Created"
within 10 "Client registered: bff-server" logs_have bff "Client registered: bff-server"
within 10 "the bff is ready" ready

registered=$(cat "$clients")
has clients.yaml "$registered" "client_id: bff-server"
has clients.yaml "$registered" "token_endpoint_auth_method: private_key_jwt"
has clients.yaml "$registered" "jwks_uri: http://bff:8000/.well-known/jwks.json"
for host in automate authn authz; do
  has clients.yaml "$registered" "- https://$host.ocg.labs.empowernow.ai/auth/callback"
done
is "clients.yaml belongs to the owner of its folder" "$(stat -c %u "$clients")" "$(stat -c %u "$(dirname "$clients")")"

kid=$(kids)
if [ -z "$kid" ]; then fail "the JWK Set has no kid"; fi
ok "the JWK Set is served"
is "the key is the operator's" "$(key_file fapi-adv-key-1.pem | sha256sum)" "$(sha256sum <"$project/fapi-adv-key-1.pem")"

# === what the container may ===

within 30 "the bff is healthy" healthy bff
is "read-only root file system" "$(inspect bff '{{.HostConfig.ReadonlyRootfs}}')" true
status=/proc/$(inspect bff '{{.State.Pid}}')/status
if [ -r "$status" ]; then
  is "user of the process" "$(awk '/^Uid:/ {print $2}' "$status")" 65532
  is "its capabilities" "$(awk '/^CapEff:/ {print $2}' "$status")" 0000000000000000
fi
listing=$(keys | tar -tv --numeric-owner)
is "files in the keys volume that others may read" "$(grep -v '^d' <<<"$listing" | grep -vc '^-rw------- 65532/65532' || true)" 0
is "the keys folder" "$(awk '$1 ~ /^d/ {print $1, $2}' <<<"$listing")" "drwx------ 65532/65532"
for file in fapi-adv-key-1.pem bff_client.json session_secret; do has "keys volume" "$listing" "keys/$file"; done

# === one login ===

# The browser's part: Host as a proxy in front would pass it, addresses as the IdP and the bff send them.
host=authn.ocg.labs.empowernow.ai
at_bff() { curl -fsS -o /dev/null -D "$project/head" -H "Host: $host" "$@"; }
at_idp() { curl -fsS -o "$project/page" -D "$project/head" -b "$project/jar" -c "$project/jar" "$@"; }
location() { tr -d '\r' <"$project/head" | sed -n 's/^location: //Ip'; }
cookies() { tr -d '\r' <"$project/head" | sed -n 's/^set-cookie: \([^;]*\);.*/\1/Ip' | paste -s -d ';'; }
interaction() { sed -n 's/.*name="interaction" value="\([^"]*\)".*/\1/p' "$project/page"; }

log_in() {
  rm -f "$project/jar"
  at_bff "http://127.0.0.1:$BFF_PORT/auth/login?return_to=/"
  attempt=$(cookies)
  case "$(location)" in
    "$issuer"/*) ok "browsers are sent to the IdP's public address: $issuer" ;;
    *) fail "browsers are sent to $(location)" ;;
  esac
  at_idp "$(location)"
  at_idp --data-urlencode "interaction=$(interaction)" -d username=ada -d password=ada "$issuer/login"
  callback=$(location)
  # A person who has consented before is sent back at once.
  case "$callback" in
    /consent*)
      at_idp "$issuer$callback"
      at_idp --data-urlencode "interaction=$(interaction)" -d decision=allow "$issuer/consent"
      callback=$(location) ;;
  esac
  case "$callback" in
    "https://$host/auth/callback?"*) ok "the IdP sends people back to their host: $host" ;;
    *) fail "the IdP sends people back to ${callback%%\?*}" ;;
  esac
  at_bff -H "Cookie: $attempt" "http://127.0.0.1:$BFF_PORT${callback#"https://$host"}"
  session=$(cookies)
  has "after the login" "$(curl -fsS -H "Host: $host" -H "Cookie: $session" "http://127.0.0.1:$BFF_PORT/auth/session")" '"authenticated":true'
}
log_in

# === remove the token, restart ===

first=$(container bff)
first_log=$(logs bff)
before=$(sha256sum "$clients")
exec 3<>"/dev/tcp/127.0.0.1/$BFF_PORT"
printf 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n' >&3
settings ""
stopping=$(date +%s%N)
docker stop --time 25 "$first" >/dev/null
took=$((($(date +%s%N) - stopping) / 1000000))
exec 3>&-
# SHUTDOWN_DELAY is 5 s; the connection that is left open costs nothing more.
if ((took >= 5000 && took < 10000)); then ok "SIGTERM, with a connection left open: stopped within $took ms"; else fail "stopping took $took ms"; fi
is "exit code of a stopped bff" "$(docker inspect --format '{{.State.ExitCode}}' "$first")" 0
first_log="$first_log
$(docker logs "$first" 2>&1)"
restart
within 60 "registration unchanged" logs_have bff "registration unchanged"
within 10 "the bff is ready without the token" ready
if [ "$(container bff)" = "$first" ]; then fail "the container is the old one"; fi
is "clients.yaml is the same" "$(sha256sum "$clients")" "$before"
is "the key is the same" "$(kids)" "$kid"

has "the logs, as the document asks for them" \
  "$(recipe 'docker-compose -f docker-compose-authzen4.yml logs -f bff' 2>&1)" "registration unchanged"
all_logs="$first_log
$(logs bff)"
first_session=$session first_attempt=$attempt

# === another signing key, as docker/README.md says ===

# key STATE: key ids in that state, as `bff keys list` has them.
key() { recipe 'docker-compose -f docker-compose-authzen4.yml exec bff bff keys list' 2>/dev/null | awk -v state="$1" '$2 == state {print $1}'; }
signs() { [ "$(key active)" = "$1" ]; }
is "the key that signs" "$(key active)" "$kid"

recipe 'openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out new.pem' 2>/dev/null
has "the new key in the volume" "$(keys | tar -tv --numeric-owner keys/new.pem)" "-rw------- 65532/65532"
file="$project/docker-compose-authzen4.yml"
# Half a minute in the place of a day.
sed -i -e 's|_SIGNING_KEY: .*|_SIGNING_KEY: /app/keys/new.pem|' \
  -e 's|^      DCR_SIGNING_KEY: .*|&\n      BFF_JWK_PUBLISH_AHEAD: 30s|' "$file"
recipe 'docker-compose -f docker-compose-authzen4.yml up -d' >"$project/up" 2>&1 || { cat "$project/up" >&2; fail "compose up"; }
within 60 "registration unchanged with the new key" logs_have bff "registration unchanged"
within 10 "the bff is ready with the new key" ready
next=$(key next)
if [ -z "$next" ] || [ "$next" = "$kid" ]; then fail "the new key is not the next one"; fi
is "keys published" "$(kids | wc -l)" 2
is "the old key signs until the new one has been published long enough" "$(key active)" "$kid"
log_in
within 90 "the new key signs" signs "$next"
is "the old key stays published" "$(kids | grep -cF -- "$kid")" 1
is "it is the previous one" "$(key previous)" "$kid"
log_in

# Another one, made by the server.
recipe 'docker-compose -f docker-compose-authzen4.yml exec bff bff keys rotate' >/dev/null
made=$(key next)
if [ -z "$made" ]; then fail "no next key is made"; fi
within 90 "the key that was made signs" signs "$made"
log_in
has "what the IdP makes of it" "$(dc exec -T bff bff check 2>&1 || true)" "$made"

# === on a laptop, without the three hosts ===

block "$source_dir/docker/README.md" 'DCR_REDIRECT_URIS=http://localhost:8000/auth/callback' | sed "s/localhost:8000/localhost:$BFF_PORT/" >>"$project/.env"
restart
within 60 "the redirect URI of the laptop is registered" logs_have bff "registration updated"
has clients.yaml "$(cat "$clients")" "- http://localhost:$BFF_PORT/auth/callback"
within 10 "the bff is ready on the laptop" ready

# === no secret in any log ===

registration_token=$(key_file bff_client.json | tr -d ' \n' | sed -n 's/.*"registration_access_token":"\([^"]*\)".*/\1/p')
if [ -z "$registration_token" ]; then fail "bff_client.json has no registration access token"; fi
all_logs="$all_logs
$(logs bff)
$(logs idp)"
secret() { if grep -qF -- "$2" <<<"$all_logs"; then fail "the logs hold $1"; fi; ok "not in the logs: $1"; }
secret "the initial access token" "$iat"
secret "the registration access token" "$registration_token"
secret "the admin token" "$admin_token"
secret "the session secret" "$(key_file session_secret)"
secret "the private key" "$(key_file fapi-adv-key-1.pem | sed -n 3p)"
secret "the session cookie" "${first_session#*=}"
secret "the login cookie" "${first_attempt#*=}"
secret "an authorization code" "$(sed -n 's/.*[?&]code=\([^&]*\).*/\1/p' <<<"$callback")"
secret "a JWT" eyJ

# === the end ===

stopping=$SECONDS
dc stop >/dev/null 2>&1
if ((SECONDS - stopping < 15)); then ok "both stop within seconds"; else fail "stopping took $((SECONDS - stopping)) s"; fi
is "exit code of the IdP" "$(docker inspect --format '{{.State.ExitCode}}' "$(container idp)")" 0
cd "$source_dir"
printf '   %s passed, 0 failed\n' "$passed"
