#!/usr/bin/env bash
# What a commit costs that waits for a witness: pgbench -N beside nobody attached, pg_receivewal --synchronous and a real
# standby, each as the only synchronous standby, in turn, on one primary. Then one client alone: what is added to a
# commit, beside what has to be added, a round trip and an fdatasync.
#
#   tests/bench/commit.sh [STANDFAST] [SECONDS] [ROUNDS]
#
# Each run of pgbench begins after a checkpoint. Prints markdown tables; everything lies in a temporary folder that is
# removed, and listens on the loopback.
set -euo pipefail
cd "$(dirname "$0")/../.."

standfast=$(realpath "${1:-build/release/standfast}")
seconds=${2:-15}
rounds=${3:-5}
default_port=6498
. tests/bench/lib.sh

start_primary <<CONF
max_wal_size = 8GB
shared_buffers = 1GB
password_encryption = scram-sha-256
CONF
as_user "$bin/pgbench" -h "$work" -p "$port" -U postgres -i -q -s 50 postgres >/dev/null 2>&1
as_user "$bin/pg_basebackup" -h 127.0.0.1 -p "$port" -U postgres -D "$work/standby" -c fast -R -C -S standby >/dev/null
as_user tee -a "$work/standby/postgresql.auto.conf" >/dev/null <<CONF
port = $((port + 1))
primary_conninfo = 'host=127.0.0.1 port=$port user=postgres application_name=standby'
CONF

export STANDFAST="$standfast" PG_BIN="$bin" WORK="$work" PORT="$port" SECONDS_EACH="$seconds" ROUNDS="$rounds" RUN_AS="$user"
/usr/bin/python3 -B - <<'PYTHON'
import os, pwd, re, signal, socket, statistics, subprocess, sys, threading, time

import bench_user

standfast, bin_directory, work, port, user = (os.environ[n] for n in ("STANDFAST", "PG_BIN", "WORK", "PORT", "RUN_AS"))
seconds, rounds = int(os.environ["SECONDS_EACH"]), int(os.environ["ROUNDS"])
SERVER = ["-h", work, "-p", port, "-U", "postgres"]


def become_user():
    bench_user.become(user)


def program(name):
    return os.path.join(bin_directory, name)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=become_user, cwd=work).stdout


def sql(statement):
    return run(program("psql"), *SERVER, "-qAtc", statement, "postgres").strip()


def wait_until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"gave up waiting for {what}; see {work}/output")
        time.sleep(0.1)


def folder(name):
    path = os.path.join(work, name)
    os.makedirs(path, exist_ok=True)
    if os.getuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


class Process:
    """Attached under its name for as long as a run takes."""

    def __init__(self, name, command):
        self.name, self.command = name, command

    def __enter__(self):
        self.child = subprocess.Popen(self.command, preexec_fn=become_user, cwd=work, stdout=open(f"{work}/output", "a"),
                                      stderr=subprocess.STDOUT)

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGINT)
        self.child.wait(60)


class Standby:
    name = "standby"

    def __enter__(self):
        run(program("pg_ctl"), "-D", f"{work}/standby", "-l", f"{work}/standby.log", "-w", "start")

    def __exit__(self, *_):
        run(program("pg_ctl"), "-D", f"{work}/standby", "-m", "fast", "-w", "stop")


class Nobody:
    name = None

    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass


sql("CREATE ROLE reader REPLICATION LOGIN PASSWORD 'nobody-logs-in-here'")
sql("SELECT pg_create_physical_replication_slot(n) FROM unnest(ARRAY['witness', 'receiver']) AS n")
users = os.path.join(work, "users")
with open(users, "w") as file:
    os.fchmod(file.fileno(), 0o600)
    file.write("reader:" + sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'reader'") + "\n")
if os.getuid() == 0:
    os.chown(users, pwd.getpwnam(user).pw_uid, -1)
kinds = {
    "nobody attached": Nobody(),
    "standfast witness": Process("witness", [
        standfast, "witness", "-d", f"host=127.0.0.1 port={port} user=postgres", "--name", "witness", "-D", folder("witness"),
        "--listen", f"127.0.0.1:{int(port) + 2}", "--users", users]),
    "pg_receivewal --synchronous": Process("receiver", [
        program("pg_receivewal"), "-d", f"host=127.0.0.1 port={port} user=postgres application_name=receiver", "-S", "receiver",
        "--synchronous", "-D", folder("received")]),
    "a standby": Standby(),
}


def is_streaming(name):
    return sql(f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming' "
               "AND flush_lsn >= pg_current_wal_flush_lsn()") == "1"


def is_waited_for(name):
    return sql(f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{name}' AND sync_state = 'quorum'") == "1"


def set_names(value):
    sql(f"ALTER SYSTEM SET synchronous_standby_names = '{value}'")
    sql("SELECT pg_reload_conf()")


def pgbench(kind, clients):
    with kinds[kind]:
        name = kinds[kind].name
        if name:
            wait_until(lambda: is_streaming(name), f"{name} to stream")
            set_names(f"ANY 1 ({name})")
            wait_until(lambda: is_waited_for(name), f"{name} to be waited for")
        sql("CHECKPOINT")
        text = run(program("pgbench"), *SERVER, "-n", "-N", "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(seconds),
                   "postgres")
        set_names("")
        wait_until(lambda: sql("SHOW synchronous_standby_names") == "", "the list to be empty")
    result = (float(re.search(r"tps = ([\d.]+)", text)[1]), float(re.search(r"latency average = ([\d.]+) ms", text)[1]))
    print(f"{clients} clients, {kind}: {result[0]:.0f} tps, {result[1]:.3f} ms", file=sys.stderr)
    return result


def table(clients):
    results = {kind: [] for kind in kinds}
    for number in range(rounds):
        order = list(kinds)
        order = order[number % len(order):] + order[:number % len(order)]
        for kind in order:
            results[kind].append(pgbench(kind, clients))
    alone = statistics.median(tps for tps, _ in results["nobody attached"])
    latency = statistics.median(ms for _, ms in results["nobody attached"])
    print(f"\npgbench -N, {clients} client(s), {seconds} s, medians of {rounds} rounds (smallest to largest):\n")
    print("| the only synchronous standby | transactions a second | of those with nobody | latency, ms | added, ms |")
    print("|---|---|---|---|---|")
    for kind, runs in results.items():
        tps, ms = ([run[i] for run in runs] for i in (0, 1))
        print(f"| {kind} | {statistics.median(tps):.0f} ({min(tps):.0f} to {max(tps):.0f}) | {statistics.median(tps) / alone:.2f} "
              f"| {statistics.median(ms):.3f} | {statistics.median(ms) - latency:.3f} |")


def round_trip_us():
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        peer, _ = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := peer.recv(1):
            peer.sendall(data)

    threading.Thread(target=answer, daemon=True).start()
    client = socket.create_connection(listener.getsockname())
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times = []
    for _ in range(2000):
        started = time.perf_counter()
        client.sendall(b"x")
        client.recv(1)
        times.append(time.perf_counter() - started)
    client.close()
    return statistics.median(times) * 1e6


def fdatasync_us():
    path = os.path.join(work, "probe")
    with open(path, "wb", buffering=0) as file:
        file.write(bytes(16 << 20))
        os.fsync(file.fileno())
        times = []
        for i in range(2000):
            started = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * 8192, i * 8192)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - started)
    os.unlink(path)
    return statistics.median(times) * 1e6


table(8)
table(1)
trip, sync = round_trip_us(), fdatasync_us()
print(f"\nRound trip on the loopback {trip:.0f} µs, 8 KiB written and fdatasync {sync:.0f} µs (medians of 2000): {trip + sync:.0f} µs.")
PYTHON
