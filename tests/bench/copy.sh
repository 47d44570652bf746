#!/usr/bin/env bash
# standfast standby clone through the source's agent beside pg_basebackup, in turn, between two hosts (network
# namespaces): wall clock, and the CPU seconds of both hosts.
#
#   tests/bench/copy.sh [STANDFAST] [SCALE] [ROUNDS] [cold|warm] [MEGABITS]
#
# pgbench of that scale; MEGABITS holds the link to that rate. Everything that is copied is fsynced. The page cache is
# dropped before each run; with "warm" it then gets the source's files, as on a server with memory for them. As root, as
# the hosts need it. Prints a markdown table; everything is made below the harness's folder, which is removed.
set -euo pipefail
cd "$(dirname "$0")/../.."
STANDFAST_BIN=$(realpath "${1:-build/release/standfast}")
export STANDFAST_BIN
export PYTHONPATH=$PWD/tests

exec /usr/bin/python3 -B - "${2:-200}" "${3:-3}" "${4:-cold}" "${5:-0}" <<'PYTHON'
import os, resource, statistics, subprocess, sys, time
from pathlib import Path

from harness.binaries import DEBIAN
from harness.members import member_pair
from harness.network import Network

scale, rounds, cache, megabits = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
LONG = 3600
TICKS = os.sysconf("SC_CLK_TCK")


def prepare(primary):
    primary.configure(max_wal_size="'16GB'", shared_buffers="'256MB'", autovacuum="off").restart()
    port, folder = primary.host.server_socket(primary.data)
    primary.host.run([DEBIAN.program("pgbench"), "-h", folder, "-p", port, "-i", "-q", "-s", str(scale), "postgres"],
                     timeout=LONG).expect(0)
    primary.psql("CHECKPOINT", timeout=LONG)


def drop_caches():
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def cpu_of_host(host):
    """Of all that runs there, and of what the postmaster has seen end."""
    pids = subprocess.run(["ip", "netns", "pids", host.namespace], check=True, capture_output=True, text=True).stdout
    postmaster = (host.data / "postmaster.pid").read_text().split()[0]
    ticks = 0
    for pid in pids.split():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(field) for field in (fields[11:15] if pid == postmaster else fields[11:13]))
    return ticks / TICKS


def cpu_of_ended():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(source, target, command):
    subprocess.run(["rm", "-rf", target.data], check=True)
    drop_caches()
    time.sleep(6)  # for five seconds ext4 looks at each inode that was freed before it takes one, for either program
    if cache == "warm":
        for path in (source.data / "base").rglob("*"):
            if path.is_file():
                path.read_bytes()
    there, here, started = cpu_of_host(source), cpu_of_ended(), time.monotonic()
    target.run(command, timeout=LONG).expect(0)
    wall = time.monotonic() - started
    return wall, cpu_of_ended() - here, cpu_of_host(source) - there


def main(network):
    h1, h2 = network.host("h1", "10.20.20.1"), network.host("h2", "10.20.20.2")
    primary, standby = member_pair(h1, h2, prepare)
    standby.stop()
    size = int(subprocess.run(["du", "-sb", h1.data / "base"], check=True, capture_output=True, text=True).stdout.split()[0])
    if megabits:
        network.limit_rate(h2, megabits)
    at = ["-h", h1.address, "-U", "postgres", "-D", h2.data, "-c", "fast"]
    clone = h2.standfast_command("standby", "clone", *at, "--from", "agent")
    base = [DEBIAN.program("pg_basebackup"), *at]
    programs = {f"standfast -j {n}": [*clone, "-j", str(n)] for n in ([2] if megabits else [1, 2, 4])}
    programs["pg_basebackup"] = base
    if megabits:
        programs["pg_basebackup --compress=server-zstd"] = [*base, "--compress=server-zstd"]
    else:
        programs["pg_basebackup --no-manifest --no-verify-checksums"] = [*base, "--no-manifest", "--no-verify-checksums"]
    results = {name: [] for name in programs}
    for number in range(rounds):
        order = list(programs) if number % 2 == 0 else list(reversed(programs))
        for name in order:
            results[name].append(measure(h1, h2, programs[name]))
            print(f"{number + 1} {name:50} %7.2f s, CPU %6.2f + %6.2f s" % results[name][-1], file=sys.stderr)

    print(f"{size / 2**30:.2f} GiB, {cache} page cache, {rounds} rounds, medians (smallest to largest):\n")
    print("| | wall clock, s | CPU of the copy's host, s | CPU of the source's host, s |\n|---|---|---|---|")
    for name, runs in results.items():
        cells = [f"{statistics.median(one):.2f} ({min(one):.2f} to {max(one):.2f})" for one in zip(*runs)]
        print(f"| {name} | {' | '.join(cells)} |")


network = Network(Path("build/test-logs/bench-copy"))
try:
    main(network)
except BaseException:
    network.keep_logs()
    raise
finally:
    network.close()
PYTHON
