#!/usr/bin/env bash
# standfast standby clone beside pg_basebackup, in turn, on one cluster: wall clock, CPU and memory of the client.
#
#   tests/bench/clone.sh [STANDFAST] [SCALE] [PAIRS]
#
# Both fsync what they write, let the server check its pages, ask for a manifest and stream the WAL; standfast
# checks the manifest as well. Before each run the page cache is dropped, when this is run as root. Prints a
# markdown table; everything lies in a temporary folder that is removed.
set -euo pipefail
cd "$(dirname "$0")/../.."

standfast=$(realpath "${1:-build/release/standfast}")
scale=${2:-200}
pairs=${3:-5}
default_port=6499
. tests/bench/lib.sh

start_primary -k <<CONF
shared_buffers = 128MB
max_wal_size = 8GB
autovacuum = off
CONF
as_user "$bin/pgbench" -h "$work" -p "$port" -U postgres -i -q -s "$scale" postgres >/dev/null 2>&1
sql CHECKPOINT

/usr/bin/python3 -B - "$standfast" "$bin" "$work" "$port" "$pairs" "$user" <<'PYTHON'
import os, shutil, statistics, subprocess, sys, time

import bench_user

standfast, bin_directory, work, port, pairs, user = sys.argv[1:]
target = os.path.join(work, "copy")
source = ["-h", "127.0.0.1", "-p", port, "-U", "postgres", "-D", target, "-X", "stream", "-c", "fast"]
programs = {
    "pg_basebackup": [os.path.join(bin_directory, "pg_basebackup"), *source],
    "standfast": [standfast, "standby", "clone", *source],
}


def become_user():
    bench_user.become(user)


def drop_caches():
    os.sync()
    if os.getuid() == 0:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")


def run_once(arguments):
    shutil.rmtree(target, ignore_errors=True)
    drop_caches()
    with open(os.path.join(work, "output"), "w") as output:
        started = time.monotonic()
        child = subprocess.Popen(arguments, stdout=output, stderr=output, preexec_fn=become_user, cwd=work)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(open(os.path.join(work, "output")).read())
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


results = {name: [] for name in programs}
for pair in range(int(pairs)):
    # The one that goes first changes, so that neither always has the warmer or the fuller disk.
    order = list(programs) if pair % 2 == 0 else list(reversed(programs))
    for name in order:
        results[name].append(run_once(programs[name]))
        print(f"{pair + 1} {name:14} %6.2f s wall %6.2f s CPU %6.1f MiB" % results[name][-1], file=sys.stderr)
size = sum(os.path.getsize(os.path.join(folder, file)) for folder, _, files in os.walk(target) for file in files)
shutil.rmtree(target)

medians = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in results.items()}
print(f"{size / 2**30:.2f} GiB, {pairs} pairs of runs, medians (smallest to largest):\n")
print("| | wall clock, s | CPU of the client, s | memory, MiB |\n|---|---|---|---|")
for name, runs in results.items():
    cells = [f"{statistics.median(c):.2f} ({min(c):.2f} to {max(c):.2f})" for c in zip(*runs)]
    print(f"| {name} | " + " | ".join(cells) + " |")
ratios = [ours / theirs for ours, theirs in zip(medians["standfast"], medians["pg_basebackup"])]
print("| ratio of medians | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
PYTHON
