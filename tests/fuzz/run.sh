#!/bin/sh
# Runs each fuzz target for some seconds from its seeds, within bounds on memory and on the time of one input.
#   tests/fuzz/run.sh BUILD_DIR SECONDS [TARGET...]
# One line for each target; exits 1 when one of them failed, and says where the input that did it lies.
set -u
if [ $# -lt 2 ]; then
  echo "usage: $0 BUILD_DIR SECONDS [TARGET...]" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
programs=$(cd "$1/tests/fuzz" && pwd) || exit 2
seconds=$2
shift 2
memory_mb=1024
one_input_seconds=10
exit_code_of_timeout=70 # libFuzzer's -timeout_exitcode

if [ $# -eq 0 ]; then
  for program in "$programs"/*_fuzz; do
    [ -x "$program" ] && set -- "$@" "$(basename "$program" _fuzz)"
  done
fi
if [ $# -eq 0 ]; then
  echo "no fuzz targets in $programs: build the preset fuzz first" >&2
  exit 2
fi

failed=0
for name in "$@"; do
  work=$programs/run/$name
  mkdir -p "$work/found" "$work/artifacts"
  seeds=$here/corpus/$name
  [ -d "$seeds" ] || seeds=
  bounds="-timeout=$one_input_seconds -rss_limit_mb=$memory_mb -malloc_limit_mb=$memory_mb"
  # shellcheck disable=SC2086 # no seeds is no argument
  "$programs/${name}_fuzz" "$work/found" $seeds -max_total_time="$seconds" $bounds \
    -artifact_prefix="$work/artifacts/" -print_final_stats=1 >"$work/log" 2>&1
  status=$?
  if [ "$status" -eq "$exit_code_of_timeout" ]; then
    # It goes by the time of day, and a machine that stood still meanwhile makes any input slow. One that takes so long
    # by itself does so again.
    slow=$(sed -n 's/.*Test unit written to //p' "$work/log")
    # shellcheck disable=SC2086 # several arguments
    "$programs/${name}_fuzz" "$slow" $bounds -artifact_prefix="$work/artifacts/" >>"$work/log" 2>&1
    status=$?
  fi
  if [ "$status" -eq 0 ]; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
    echo "$name: ok, ${runs:-?} runs in $seconds s"
  else
    failed=1
    why=$(grep -a -m1 -E 'broken invariant|runtime error' "$work/log" || grep -a -m1 'ERROR: ' "$work/log" ||
      tail -1 "$work/log")
    echo "$name: FAILED, $why"
    echo "  log: $work/log; input: $work/artifacts" >&2
  fi
done
exit "$failed"
