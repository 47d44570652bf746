#!/usr/bin/env bash
# standfast standby rejoin beside pg_rewind and beside fresh copies, in turn, between two hosts (network namespaces):
# wall clock and bytes that came over the link.
#
#   tests/bench/rejoin.sh [STANDFAST] [SCALE] [ROUNDS] [cold|warm]
#
# pgbench of that scale; the standby is promoted while the primary goes on for some transactions, then one block in a
# hundred of the accounts is changed on the new primary. Each program then makes the same old directory a standby
# again, from cold caches, and the result is started until it streams (not measured). As root, as the hosts need it.
# Prints a markdown table; everything is made below the harness's folder, which is removed.
set -euo pipefail
cd "$(dirname "$0")/../.."
STANDFAST_BIN=$(realpath "${1:-build/release/standfast}")
export STANDFAST_BIN
export PYTHONPATH=$PWD/tests

exec /usr/bin/python3 -B - "${2:-200}" "${3:-3}" "${4:-cold}" <<'PYTHON'
import os, statistics, subprocess, sys, time
from pathlib import Path

from harness.binaries import DEBIAN
from harness.cluster import wait_for_replay
from harness.members import member_pair, promote
from harness.network import Network
from harness.waiting import wait_until

scale, rounds, cache = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
LONG = 3600
ROWS_PER_BLOCK = 61  # of pgbench_accounts


def pgbench(cluster, *options):
    port, folder = cluster.host.server_socket(cluster.data)
    return cluster.host.run([DEBIAN.program("pgbench"), "-h", folder, "-p", port, *options, "postgres"],
                            timeout=LONG).expect(0)


def prepare(primary):
    primary.configure(max_wal_size="'16GB'", shared_buffers="'256MB'", autovacuum="off",
                      wal_keep_size="'512MB'").restart()  # pg_rewind wants the WAL since before the fork
    pgbench(primary, "-i", "-q", "-s", scale)
    primary.psql("CHECKPOINT", timeout=LONG)


def drop_caches():
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def received_bytes(host):
    text = subprocess.run(["ip", "netns", "exec", host.namespace, "cat", "/sys/class/net/eth0/statistics/rx_bytes"],
                          check=True, capture_output=True, text=True).stdout
    return int(text)


def copy_tree(source, target):
    subprocess.run(["rm", "-rf", target], check=True)
    subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True)


def measure(old, new, command):
    drop_caches()
    for server in (old, new) if cache == "warm" else ():
        for path in (server.data / "base").rglob("*"):
            if path.is_file():
                path.read_bytes()
    before = received_bytes(old.host)
    started = time.monotonic()
    old.host.run(command, timeout=LONG).expect(0)
    return time.monotonic() - started, received_bytes(old.host) - before


def check(old, new):
    old.start()
    wait_until(lambda: old.psql("SELECT status FROM pg_stat_wal_receiver") == "streaming", 120, "a stream")
    wait_for_replay(new, old)
    old.stop()


def main(network):
    old, new = member_pair(network.host("h1", "10.20.20.1"), network.host("h2", "10.20.20.2"), prepare)
    wait_for_replay(old, new)
    promote(new)
    new.psql("ALTER SYSTEM RESET primary_slot_name")  # pg_rewind would take it over
    pgbench(old, "-n", "-c", "1", "-t", "200")
    old.stop()
    new.psql(f"UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE (aid / {ROWS_PER_BLOCK}) % 100 = 7",
             timeout=LONG)
    new.psql("CHECKPOINT", timeout=LONG)
    saved = old.host.folder / "saved"
    copy_tree(old.data, saved)
    size = int(subprocess.run(["du", "-sb", new.data / "base"], check=True, capture_output=True, text=True).stdout.split()[0])

    at = ["-h", new.host.address, "-U", "postgres", "-D", old.data]
    conninfo = f"host={new.host.address} port=5432 user=postgres dbname=postgres"
    programs = {
        "standfast standby rejoin": old.host.standfast_command("standby", "rejoin", *at, "-c", "fast", "--discard-diverged"),
        "pg_rewind": [DEBIAN.program("pg_rewind"), "-D", old.data, "--source-server", conninfo, "-R"],
        "standfast standby clone": old.host.standfast_command("standby", "clone", *at, "-c", "fast", "-R", "--from", "agent"),
        "pg_basebackup": [DEBIAN.program("pg_basebackup"), *at, "-c", "fast", "-R"],
    }
    is_fresh = {"standfast standby clone", "pg_basebackup"}
    results = {name: [] for name in programs}
    for number in range(rounds):
        order = list(programs) if number % 2 == 0 else list(reversed(programs))
        for name in order:
            if name in is_fresh:
                subprocess.run(["rm", "-rf", old.data], check=True)
            else:
                copy_tree(saved, old.data)
            results[name].append(measure(old, new, programs[name]))
            print(f"{number + 1} {name:26} %7.2f s %9.1f MiB" % (results[name][-1][0], results[name][-1][1] / 2**20),
                  file=sys.stderr)
            check(old, new)

    print(f"{size / 2**30:.2f} GiB, {cache} page cache, {rounds} rounds, medians (smallest to largest):\n")
    print("| | wall clock, s | received, MiB |\n|---|---|---|")
    for name, runs in results.items():
        seconds, received = zip(*runs)
        print(f"| {name} | {statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f}) "
              f"| {statistics.median(received) / 2**20:.0f} |")


network = Network(Path("build/test-logs/bench-rejoin"))
try:
    main(network)
except BaseException:
    network.keep_logs()
    raise
finally:
    network.close()
PYTHON
