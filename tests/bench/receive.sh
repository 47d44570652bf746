#!/usr/bin/env bash
# standfast wal receive beside pg_receivewal, in turn, on one cluster: WAL that waits on the server is received up to its
# end, from equal slots. Wall clock, CPU and memory of the client.
#
#   tests/bench/receive.sh [STANDFAST] [GIGABYTES] [PAIRS]
#
# Both leave everything durable when they end. Before each run the disk is synced; the WAL stays in the server's page
# cache where it fits, so that the receiver is measured and not the server's disk. Prints a markdown table; everything
# lies in a temporary folder that is removed.
set -euo pipefail
cd "$(dirname "$0")/../.."

standfast=$(realpath "${1:-build/release/standfast}")
gigabytes=${2:-3}
pairs=${3:-5}
default_port=6498
. tests/bench/lib.sh

start_primary <<CONF
max_wal_size = 8GB
max_replication_slots = 100
autovacuum = off
fsync = off
CONF
sql "SELECT pg_create_physical_replication_slot('origin', true)" >/dev/null
sql "CREATE TABLE t AS SELECT i, repeat('x', 900) AS pad FROM generate_series(1, $((gigabytes * 1024 * 1024))) AS i" >/dev/null
sql "CHECKPOINT" >/dev/null
end=$(sql "SELECT pg_current_wal_flush_lsn()")

/usr/bin/python3 -B - "$standfast" "$bin" "$work" "$port" "$pairs" "$user" "$end" <<'PYTHON'
import os, shutil, statistics, subprocess, sys, time

import bench_user

standfast, bin_directory, work, port, pairs, user, end = sys.argv[1:]
target = os.path.join(work, "wal")
source = ["-h", "127.0.0.1", "-p", port, "-U", "postgres", "-D", target, "--endpos", end, "--no-loop"]
programs = {
    "pg_receivewal": [os.path.join(bin_directory, "pg_receivewal"), *source],
    "standfast": [standfast, "wal", "receive", *source],
}


def become_user():
    bench_user.become(user)


def sql(statement):
    subprocess.run([os.path.join(bin_directory, "psql"), "-h", work, "-p", port, "-U", "postgres", "-qAtc", statement,
                    "postgres"], check=True, stdout=subprocess.DEVNULL, preexec_fn=become_user)


def run_once(name, number):
    shutil.rmtree(target, ignore_errors=True)
    os.mkdir(target)
    if os.getuid() == 0:
        shutil.chown(target, user)
    slot = f"{name}_{number}"
    sql(f"SELECT pg_copy_physical_replication_slot('origin', '{slot}')")
    os.sync()
    with open(os.path.join(work, "output"), "w") as output:
        started = time.monotonic()
        child = subprocess.Popen([*programs[name], "-S", slot], stdout=output, stderr=output, preexec_fn=become_user, cwd=work)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(open(os.path.join(work, "output")).read())
    sql(f"SELECT pg_drop_replication_slot('{slot}')")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


results = {name: [] for name in programs}
for pair in range(int(pairs)):
    # The one that goes first changes, so that neither always has the warmer or the fuller disk.
    order = list(programs) if pair % 2 == 0 else list(reversed(programs))
    for name in order:
        results[name].append(run_once(name, pair))
        print(f"{pair + 1} {name:14} %6.2f s wall %6.2f s CPU %6.1f MiB" % results[name][-1], file=sys.stderr)
size = sum(os.path.getsize(os.path.join(target, name)) for name in os.listdir(target) if "." not in name)
shutil.rmtree(target)

medians = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in results.items()}
print(f"{size / 2**30:.2f} GiB of WAL, {pairs} pairs of runs, medians (smallest to largest):\n")
print("| | wall clock, s | CPU of the client, s | memory, MiB |\n|---|---|---|---|")
for name, runs in results.items():
    cells = [f"{statistics.median(c):.2f} ({min(c):.2f} to {max(c):.2f})" for c in zip(*runs)]
    print(f"| {name} | " + " | ".join(cells) + " |")
ratios = [ours / theirs for ours, theirs in zip(medians["standfast"], medians["pg_receivewal"])]
print("| ratio of medians | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
PYTHON
