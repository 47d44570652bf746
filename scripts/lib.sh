# Shared by the scripts at the root: messages, and running a command as root or as whoever calls.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

die() { # die MESSAGE HINT
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

require_root() { # require_root WHAT-FOR
  [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
    die "$1 needs root" "Run it as root, or install sudo and let your user use it."
}

# sudo, where the caller is not root.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# ccache knows a file again in another clone: neither the folder of the tree nor that of the build counts.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

# Configures once and builds the named targets of one CMake preset, with as many jobs as there are cores.
build() { # build PRESET TARGET...
  local preset=$1
  shift
  [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >"$(log_file "$preset")" ||
    { cat "$(log_file "$preset")" >&2 && return 1; }
  cmake --build --preset "$preset" -j "$(nproc)" --target "$@"
}

log_file() {
  mkdir -p build
  printf 'build/%s-configure.log' "$1"
}
