#!/usr/bin/env bash
# Installs what is missing, builds, and shows a primary, its hot standby and a witness on this machine. The arguments
# are those of `standfast demo`.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/lib.sh

scripts/install.sh demo
say "building (the first time takes a few minutes)"
mkdir -p build
build release standfast >build/release-build.log 2>&1 || {
  cat build/release-build.log >&2
  exit 1
}
exec build/release/standfast demo "$@"
