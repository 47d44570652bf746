#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests, or the named parts of them:
#
#   ./test.sh [unit|asan|fuzz|integration|e2e|format]...
#
# A failed part does not stop the ones after it. The results lie in build/results, what each test's hosts said in
# build/test-logs; the last line is the sum.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/lib.sh

all_parts=(unit asan fuzz integration e2e format)
results=$PWD/build/results
fuzz_seconds_per_target=${FUZZ_SECONDS:-3}

run_unit() {
  build release all &&
    GTEST_OUTPUT="xml:$results/unit/" ctest --preset release -j "$(nproc)"
}

# The sanitizers' program also does the quick integration tests; a finding of theirs is an exit code of its own.
run_asan() {
  build asan all &&
    GTEST_OUTPUT="xml:$results/asan/" ctest --preset asan -j "$(nproc)" &&
    STANDFAST_BIN=$PWD/build/asan/standfast run_pytest asan-integration tests/integration -m quick
}

run_fuzz() {
  local state=passed program name result
  build fuzz all || return 1
  for program in build/fuzz/tests/fuzz/*_fuzz; do
    name=$(basename "$program" _fuzz) result=passed
    tests/fuzz/run.sh build/fuzz "$fuzz_seconds_per_target" "$name" || result=failed
    write_result fuzz "$name" "$result" || state=failed
  done
  [ "$state" = passed ]
}

run_integration() {
  build release standfast && run_pytest integration tests/integration
}

run_e2e() {
  build release standfast && run_pytest e2e tests/e2e
}

run_format() {
  local state=passed
  find src tests \( -name "*.h" -o -name "*.cc" \) -print0 | xargs -0 clang-format-14 --dry-run -Werror || state=failed
  write_result format every_source_file "$state"
}

# For what has no test framework of its own.
write_result() { # write_result PART TEST passed|failed
  local failure=''
  [ "$3" = passed ] || failure='<failure/>'
  echo "<testsuite name='$1'><testcase name='$2'>$failure</testcase></testsuite>" >"$results/$1-$2.xml"
  [ "$3" = passed ]
}

# Debian's own Python, as root: the hosts of the tests are network namespaces. They wait more than they work, so there
# are two workers for each core.
run_pytest() { # run_pytest NAME ARGUMENT...
  require_root "making the hosts of the tests"
  local name=$1
  shift
  as_root env STANDFAST_BIN="${STANDFAST_BIN:-$PWD/build/release/standfast}" \
    ${STANDFAST_PG_CACHE:+STANDFAST_PG_CACHE="$STANDFAST_PG_CACHE"} \
    /usr/bin/python3 -B -m pytest -p no:cacheprovider -n "$((2 * $(nproc)))" --junitxml="$results/$name.xml" "$@"
}

run_part() {
  local started=$SECONDS state=passed
  say "== $1"
  "run_$1" || state=failed
  [ "$state" = passed ] || echo "$1" >>"$results/failed-parts"
  say "== $1: $state after $((SECONDS - started)) s"
}

# What a killed test run left of its hosts: namespaces, mounts, processes, folders.
clean_up() {
  as_root /usr/bin/python3 -B tests/harness/sweep.py || true
}

for part in "$@"; do
  [[ " ${all_parts[*]} " = *" $part "* ]] || die "no such part: '$part'" "The parts are: ${all_parts[*]}."
done
[ $# -gt 0 ] || set -- "${all_parts[@]}"
scripts/install.sh test
trap clean_up EXIT
rm -rf "$results" && mkdir -p "$results"
for part in "$@"; do run_part "$part"; done
/usr/bin/python3 -B scripts/sum_results.py "$results"
