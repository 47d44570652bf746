"""What comes to a witness that should not: rude clients, WAL of another cluster, gaps and damage in its folder. It costs
little memory, it is said, and others are unharmed."""

import re
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import rude_clients
from harness.binaries import DEBIAN
from harness.clones import PASSWORD, primary_by_hand
from harness.waiting import wait_until
from harness.wal import Served, make_wal_folder, receive
from harness.witness import NAME, Witness, World, assert_same_segments, wal_names

MIB = 1 << 20
PRECONDITION, DAMAGED = 10, 14
GROWTH_MEGABYTES = 64


class Memory:
    """The most that a process has had resident, since it was asked to forget."""

    def __init__(self, pid):
        self._folder = Path(f"/proc/{pid}")
        (self._folder / "clear_refs").write_text("5")
        self._before = self._peak()

    def _peak(self):
        status = (self._folder / "status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024

    def grown_megabytes(self):
        return self._peak() - self._before


def rude(host, server, kind, count, start="0/0"):
    """A crowd of one kind, up to the moment when each has done its worst."""
    running = host.start(["python3", "-c", Path(rude_clients.__file__).read_text(), server.host.address, server.port, "replicator",
                          kind, count, start], env={"PGPASSWORD": PASSWORD})
    wait_until(lambda: "all are there" in running.out or not running.alive, 120, f"{count} clients: {kind}")
    assert running.alive, running.err
    return running


def write_megabytes(primary, megabytes):
    """The name of the last segment, which is full then."""
    for _ in range(megabytes // 20):
        primary.psql(f"SELECT count(pg_logical_emit_message(false, 'x', repeat('y', {MIB}))) FROM generate_series(1, 20)")
    return primary.psql("SELECT pg_walfile_name(pg_switch_wal())")


def good_client(host, witness, folder):
    return host.start([DEBIAN.program("pg_receivewal"), "-h", witness.host.address, "-p", witness.port, "-U", "replicator", "-w",
                       "-D", folder, "-S", "good"], env={"PGPASSWORD": PASSWORD})


def test_rude_clients_cost_little_and_harm_nobody(network):
    h1, h2, h3, h4 = (network.host(f"h{i}", f"10.20.20.{i}") for i in (1, 2, 3, 4))
    primary = primary_by_hand(h1, DEBIAN, wal_keep_size="'1GB'", max_wal_size="'2GB'")
    primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
    witness = Witness(h3, primary).start()
    witness.streams_from(primary)
    witness.ask("CREATE_REPLICATION_SLOT good PHYSICAL RESERVE_WAL").expect(0)
    start = witness.ask("READ_REPLICATION_SLOT good").expect(0).out.split("|")[1]
    folder = make_wal_folder(h2)
    good = good_client(h2, witness, folder)
    memory = Memory(witness.running.pid)
    with ExitStack() as crowds:
        for kind, count in (("idle", 500), ("million", 20), ("unauthenticated", 20), ("wrong", 20), ("half", 4), ("huge", 8),
                            ("garbage", 8), ("half_a_report", 4), ("deaf", 6)):
            crowd = rude(h4, witness, kind, count, start)
            crowds.callback(crowd.wait)
            crowds.callback(crowd.signal, signal.SIGKILL)
        last = write_megabytes(primary, 240)
        witness.ask("IDENTIFY_SYSTEM", sender=h2).expect(0)  # new logins are served
        wait_until(lambda: last in wal_names(folder), 180, f"{last} by way of the witness")
        assert good.alive and witness.running.alive
        assert memory.grown_megabytes() < GROWTH_MEGABYTES
    good.signal(signal.SIGINT)
    good.wait(60)
    assert assert_same_segments(primary, folder) >= 14
    # Nor is anything left of them.
    wait_until(lambda: len(list(Path(f"/proc/{witness.running.pid}/task").iterdir())) < 20, 60, "their threads to end")
    witness.stop()


def wal_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("0*")}


def test_the_wal_of_another_cluster_is_refused(network):
    h1, h3 = network.host("h1", "10.20.20.1"), network.host("h3", "10.20.20.3")
    primary = primary_by_hand(h1, DEBIAN, "--wal-segsize=1")
    primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
    witness = Witness(h3, primary).start()
    witness.streams_from(primary)
    primary.psql("CREATE TABLE t AS SELECT generate_series(1, 50000) AS i")
    witness.stop()
    before = wal_of(witness.folder)
    other = primary_by_hand(h1, DEBIAN, "--wal-segsize=1", data=h1.cluster_folder / "other", port=5440)
    other.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
    reserved = other.psql("SELECT restart_lsn FROM pg_replication_slots")
    at = witness.command.index("-d") + 1
    witness.command[at] = f"host={h1.address} port=5440 user=replicator"
    witness.start()
    said = "holds WAL of system"
    wait_until(lambda: said in witness.running.out + witness.running.err, 60, "a word about the other system")
    assert witness.position()[0] == 1, "it serves what it holds"
    assert other.psql("SELECT restart_lsn FROM pg_replication_slots") == reserved
    witness.stop()
    assert wal_of(witness.folder) == before


def flip(path, offset):
    """A bit of a row's text, at the offset or behind it."""
    content = bytearray(path.read_bytes())
    content[re.compile(rb"[0-9a-f]{64}").search(content, offset).start() + 32] ^= 1
    path.write_bytes(content)


def test_a_gap_and_a_damaged_tail(network):
    h1, h3 = network.host("h1", "10.20.20.1"), network.host("h3", "10.20.20.3")
    primary = primary_by_hand(h1, DEBIAN, "--wal-segsize=1", wal_keep_size="'1GB'", autovacuum="off")
    primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
    primary.psql("CREATE TABLE t (i int, x text)")
    witness = Witness(h3, primary).start()
    witness.streams_from(primary)

    def write(rows=5000):
        primary.psql(f"INSERT INTO t SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, {rows}) i")
        end = primary.psql("SELECT pg_current_wal_flush_lsn()")
        wait_until(lambda: primary.psql(f"SELECT restart_lsn >= '{end}' FROM pg_replication_slots") == "t", 60, f"{end} acknowledged")

    write()
    # The tail is to have rows, and room for what the server writes by itself.
    while not MIB // 4 < int(primary.psql(f"SELECT (pg_current_wal_flush_lsn() - '0/0') % {MIB}")) < MIB * 3 // 4:
        write(100)
    witness.stop()
    segments = [witness.folder / name for name in wal_names(witness.folder)]
    serve = h3.standfast_command("wal", "serve", "-D", witness.folder, "--users", witness.users, "--listen", "127.0.0.1:5434")

    missing = segments[len(segments) // 2]
    moved = h3.folder / "moved"
    missing.rename(moved)
    for command in (witness.command, serve):
        refused = h3.run(command, env={"PGPASSWORD": PASSWORD}, timeout=60)
        refused.expect_error(PRECONDITION, "lacks WAL between")
    moved.rename(missing)

    # In the last whole segment, which the tail goes on from.
    good = segments[-1].read_bytes()
    flip(segments[-1], MIB // 2)
    for command in (witness.command, serve):
        refused = h3.run(command, env={"PGPASSWORD": PASSWORD}, timeout=60)
        refused.expect_error(DAMAGED, segments[-1].name, "Move it away")
    segments[-1].write_bytes(good)

    # In the tail itself: the acknowledged bytes behind the damage are fetched again.
    (tail,) = witness.folder.glob("*.partial")
    flip(tail, 0)
    witness.start()
    witness.streams_from(primary)
    write()
    witness.stop()
    assert assert_same_segments(primary, witness.folder) >= len(segments)


def test_a_damaged_segment_is_not_replayed_and_stops_nobody_else(network):
    world = World(network, wal_keep_size="'1GB'")
    witness, (standby,) = world.witness, world.standbys
    for _ in range(6):
        world.put(rows=3000)
    end = world.primary.psql("SELECT pg_current_wal_flush_lsn()")
    wait_until(lambda: world.primary.psql(f"SELECT restart_lsn >= '{end}' FROM pg_replication_slots") == "t", 60, "all of it there")
    witness.stop()
    names = wal_names(witness.folder)
    damaged = witness.folder / names[len(names) // 2]
    flip(damaged, MIB // 2)
    witness.start()
    world.follow(standby)
    wait_until(lambda: "incorrect resource manager data checksum" in standby.log(), 60, "the standby to see the damage")
    assert world.seen(standby) < world.rows
    # Others go on: commits are acknowledged, WAL behind the damage is served.
    world.put()
    end = world.primary.psql("SELECT pg_current_wal_flush_lsn()")
    wait_until(lambda: world.primary.psql(f"SELECT flush_lsn >= '{end}' FROM pg_stat_replication") == "t", 60, "acknowledgements")
    target = make_wal_folder(world.h2, "elsewhere")
    witness.ask("CREATE_REPLICATION_SLOT late PHYSICAL RESERVE_WAL").expect(0)
    receive(world.h2, world.h3, target, "-S", "late", port=witness.port, end=witness.position()[1]).expect(0)
    verified = world.h3.standfast("wal", "verify", "-D", witness.folder)
    verified.expect(DAMAGED)
    assert damaged.name in verified.out + verified.err
    # With a good copy in its place the standby goes on, once it has forgotten what it got.
    damaged.write_bytes((world.primary.data / "pg_wal" / damaged.name).read_bytes())
    standby.stop("immediate")
    for name in wal_names(standby.data / "pg_wal"):
        if name >= damaged.name:
            (standby.data / "pg_wal" / name).unlink()
    standby.start()
    world.arrives(standby)


@pytest.mark.parametrize("method", ["zstd", "lz4"])
def test_packed_segments_are_served_as_they_were(network, method):
    world = World(network, wal_keep_size="'1GB'")
    world.witness.stop()
    world.primary.psql("SELECT pg_create_physical_replication_slot('packed', true)")
    folder = make_wal_folder(world.h3, "packed")
    running = world.h3.start(
        world.h3.standfast_command("wal", "receive", "-h", world.h1.address, "-U", "replicator", "-D", folder, "-S", "packed",
                                   "-Z", method), env={"PGPASSWORD": PASSWORD})
    for _ in range(6):
        world.put(rows=3000)
    world.primary.psql("SELECT pg_switch_wal()")
    world.put(rows=10)
    end = world.primary.psql("SELECT pg_current_wal_flush_lsn()")
    wait_until(lambda: world.primary.psql(f"SELECT bool_or(flush_lsn >= '{end}') FROM pg_stat_replication") == "t", 60, "all of it")
    ending = {"zstd": ".zst", "lz4": ".lz4"}[method]
    wait_until(lambda: len(list(folder.glob(f"*{ending}"))) >= 5 and len(wal_names(folder)) <= 1, 60, "packed segments")
    running.signal(signal.SIGTERM)
    running.wait(60).expect(0)

    target = make_wal_folder(world.h2, "unpacked")
    first = sorted(folder.glob(f"*{ending}"))[0].name[:24]
    (target / first).write_bytes((world.primary.data / "pg_wal" / first).read_bytes())  # it goes on behind what it has
    world.h2.run(["chown", "postgres", target / first], user="root").expect(0)
    with Served(world.h3, folder, world.witness.users, "--allow-cleartext") as served:
        (standby,) = world.standbys
        world.follow(standby, served.conninfo())
        world.arrives(standby)
        end = world.primary.psql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        running = world.h2.start([DEBIAN.program("pg_receivewal"), "-h", world.h3.address, "-p", served.port, "-U", "replicator", "-w",
                                  "-D", target], env={"PGPASSWORD": PASSWORD})
        wait_until(lambda: (target / f"{end}.partial").exists(), 60, "pg_receivewal to come as far")
        running.signal(signal.SIGINT)
        running.wait(60)
        assert assert_same_segments(world.primary, target) >= 5
        served.stop()
