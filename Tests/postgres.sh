#!/usr/bin/env bash
# A private PostgreSQL server for tests and benchmarks: in a folder of its own, on a Unix socket, as an unprivileged user, with fsync on.
#
#   Tests/postgres.sh start FOLDER [PID]     makes and starts it; it stops, and FOLDER goes, when the process PID has ended
#   Tests/postgres.sh restart FOLDER         as after a crash: no process of the server is left time to do anything
#   Tests/postgres.sh halt FOLDER            stops it in the same way; `start` starts it again
#   Tests/postgres.sh stop FOLDER            stops it and removes FOLDER
#
# FOLDER must be new, or what `start` made; its path must be short, for the socket. The store is then, for a database that was made,
# postgresql:///DATABASE?host=FOLDER&user=postgres. Every role may connect, but for one of the name `locked`, who needs a password.
# POSTGRES_PORT   also listen there, on 127.0.0.1, with TLS by a certificate that nobody has signed.
set -euo pipefail
command=${1:-} folder=${2:-}
[ -n "$folder" ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 64; }

binaries() {
  local newest
  newest=$(ls -d /usr/lib/postgresql/*/bin 2> /dev/null | sort -V | tail -n 1) || true
  if [ -n "$newest" ]; then echo "$newest"; else pg_config --bindir; fi
}
bin=$(binaries)

# The server refuses to run as root.
as_user() {
  if [ "$(id -u)" != 0 ]; then "$@"; return; fi
  local user=postgres
  id -u postgres > /dev/null 2>&1 || user=nobody
  (cd / && setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@")
}

start_server() { as_user "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 start > /dev/null < /dev/null || { cat "$folder/log" >&2; exit 1; }; }

stop_server() { as_user "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop > /dev/null 2>&1 || true; }

make_certificate() {
  openssl req -new -x509 -days 2 -nodes -subj /CN=localhost -keyout "$folder/data/server.key" -out "$folder/data/server.crt" 2> /dev/null
  chmod 600 "$folder/data/server.key"
  [ "$(id -u)" != 0 ] || chown --reference="$folder/data" "$folder/data/server.key" "$folder/data/server.crt"
}

make_server() {
  mkdir -p "$folder"
  if [ "$(id -u)" = 0 ]; then chown "$(as_user id -u)" "$folder"; fi
  chmod 755 "$folder"
  as_user "$bin/initdb" -D "$folder/data" -U postgres -A trust --no-sync --no-instructions -E UTF8 --locale=C > /dev/null
  {
    echo "unix_socket_directories = '$folder'"
    echo "max_connections = 200"
    echo "log_min_messages = fatal"
    if [ -n "${POSTGRES_PORT:-}" ]; then
      echo "listen_addresses = '127.0.0.1'"
      echo "port = $POSTGRES_PORT"
      echo "ssl = on"
    else
      echo "listen_addresses = ''"
    fi
  } >> "$folder/data/postgresql.conf"
  { echo "local all locked scram-sha-256"; cat "$folder/data/pg_hba.conf"; } > "$folder/hba"
  cat "$folder/hba" > "$folder/data/pg_hba.conf"
  [ -z "${POSTGRES_PORT:-}" ] || make_certificate
}

case $command in
  start)
    [ -d "$folder/data" ] || make_server
    start_server
    if [ -n "${3:-}" ]; then
      setsid "$0" await "$folder" "$3" > /dev/null 2>&1 < /dev/null &
    fi
    ;;
  await)
    tail --pid="$3" -f /dev/null
    stop_server
    rm -rf "$folder"
    ;;
  restart)
    stop_server
    start_server
    ;;
  halt)
    stop_server
    ;;
  stop)
    stop_server
    rm -rf "$folder"
    ;;
  *)
    echo "there is no command '$command'" >&2
    exit 64
    ;;
esac
