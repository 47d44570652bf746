# What the comparisons have in common: a folder that is removed, and a primary in it. Source it after naming the port:
#
#   default_port=6498
#   . tests/bench/lib.sh
bin=${PG_BIN:-/usr/lib/postgresql/15/bin}
user=${BENCH_USER:-postgres}
port=${BENCH_PORT:-$default_port}
work=$(mktemp -d "${TMPDIR:-/tmp}/standfast-bench-XXXXXX")
[ "$(id -u)" != 0 ] || chown "$user" "$work"
export PYTHONPATH=$PWD/tests/bench

as_user() {
  if [ "$(id -u)" = 0 ]; then runuser -u "$user" -- "$@"; else "$@"; fi
}
clean_up() {
  local data
  for data in primary standby; do
    as_user "$bin/pg_ctl" -D "$work/$data" -m immediate stop >/dev/null 2>&1 || true
  done
  rm -rf "$work"
}
trap clean_up EXIT
sql() {
  as_user "$bin/psql" -h "$work" -p "$port" -U postgres -qAtc "$1" postgres
}

# start_primary INITDB_OPTION... with more lines for postgresql.conf on standard input
start_primary() {
  as_user "$bin/initdb" "$@" -A trust -U postgres -D "$work/primary" >/dev/null
  {
    printf '%s\n' "port = $port" "listen_addresses = '127.0.0.1'" "unix_socket_directories = '$work'"
    cat
  } | as_user tee -a "$work/primary/postgresql.conf" >/dev/null
  as_user "$bin/pg_ctl" -D "$work/primary" -l "$work/log" -w start >/dev/null
}
