"""`standfast wal serve` with real standbys and PostgreSQL's own pg_receivewal as its clients."""

import shutil
import signal

import pytest

from harness.binaries import DEBIAN
from harness.certificates import give_certificate
from harness.clones import PASSWORD, clone, primary_by_hand
from harness.cluster import Cluster
from harness.waiting import wait_until
from harness.wal import PORT, Served, end_of_wal, make_wal_folder, receive, users_file

USAGE, PERMISSION, PRECONDITION, IN_USE = 2, 5, 10, 20
SLOT = "witness1"


@pytest.fixture
def three(network):
    """The primary, the standby and the host that keeps the WAL."""
    return tuple(network.host(f"h{number}", f"10.20.20.{number}") for number in (1, 2, 3))


class Kept:
    """A primary whose WAL a third host keeps from before the standby's copy on."""

    def __init__(self, hosts, binaries=DEBIAN, **settings):
        self.primary_host, self.standby_host, self.host = hosts
        self.binaries = binaries
        self.primary = primary_by_hand(self.primary_host, binaries, **settings)
        self.primary.psql("CREATE TABLE t (i int, x text)")
        self.folder = make_wal_folder(self.host)
        self.users = users_file(self.host, self.primary)
        receive(self.host, self.primary_host, self.folder, "-S", SLOT, "--create-slot").expect(0)

    def receive(self, primary=None, host=None):
        receive(self.host, host or self.primary_host, self.folder, "-S", SLOT,
                end=end_of_wal(primary or self.primary)).expect(0)

    def serve(self, *options, **how):
        return Served(self.host, self.folder, self.users, *options, **how)

    def copy(self, host):
        self.receive()  # a server before 15 does not say from where on its slot has WAL
        clone(self.primary_host, host).expect(0)
        return Cluster(host, self.binaries)

    def follow(self, standby, conninfo):
        standby.host.write(standby.data / "standby.signal", "")
        escaped = conninfo.replace("\\", "\\\\").replace("'", "''")
        standby.configure(primary_conninfo=f"'{escaped}'", hot_standby="on", wal_retrieve_retry_interval="'200ms'",
                          recovery_target_timeline="'latest'")
        return standby.start()


def fill(server, rows):
    server.psql(f"INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, {rows}) AS i")


def wait_for_rows(standby, rows):
    wait_until(lambda: standby.psql("SELECT count(*) FROM t") == str(rows), 120, f"{rows} rows on the standby")


def assert_streams_from(standby, host):
    wait_until(lambda: standby.rows("SELECT status, sender_host, sender_port FROM pg_stat_wal_receiver") == [
        {"status": "streaming", "sender_host": host.address, "sender_port": str(PORT)}], 60, "a stream from the witness")
    assert standby.psql("SELECT pg_is_in_recovery()") == "t"


def test_a_standby_follows_a_folder_of_wal(three, binaries):
    kept = Kept(three, binaries)
    standby = kept.copy(kept.standby_host)
    fill(kept.primary, 30000)
    kept.receive()
    with kept.serve("--allow-cleartext") as served:
        kept.follow(standby, served.conninfo("application_name=b"))
        wait_for_rows(standby, 30000)
        assert_streams_from(standby, kept.host)
        served.stop()
    # The folder grows while nobody serves it, and the standby goes on by itself.
    fill(kept.primary, 1000)
    kept.receive()
    kept.primary.stop("immediate")
    with kept.serve("--allow-cleartext") as served:
        wait_for_rows(standby, 31000)
        assert_streams_from(standby, kept.host)
        served.stop()
    standby.stop()


def test_a_standby_follows_onto_a_new_timeline(three, network, binaries):
    kept = Kept(three, binaries, wal_keep_size="'256MB'") if binaries.major > 12 else Kept(three, binaries,
                                                                                          wal_keep_segments=16)
    other_host = network.host("h4", "10.20.20.4")
    standby, other = kept.copy(kept.standby_host), kept.copy(other_host)
    fill(kept.primary, 1000)
    kept.receive()
    with kept.serve("--allow-cleartext") as served:
        kept.follow(standby, served.conninfo())
        kept.follow(other, served.conninfo())
        wait_for_rows(standby, 1000)
        wait_for_rows(other, 1000)
        served.stop()
    kept.primary.stop()
    other.host.run([other.binaries.program("pg_ctl"), "-D", other.data, "-w", "promote"]).expect(0)
    fill(other, 500)
    other.psql("SELECT pg_create_physical_replication_slot('witness1', true)")
    kept.receive(other, other_host)
    with kept.serve("--allow-cleartext") as served:
        wait_for_rows(standby, 1500)
        assert_streams_from(standby, kept.host)
        assert standby.psql("SELECT received_tli FROM pg_stat_wal_receiver") == "2"
        served.stop()
    standby.stop()
    other.stop()


def wal_names(folder):
    return sorted(path.name for path in folder.iterdir() if len(path.name) == 24)


def pg_receivewal(kept, served, *options, env=None, timeout=60):
    return kept.standby_host.run([DEBIAN.program("pg_receivewal"), "-h", served.host.address, "-p", served.port, "-U",
                                  "replicator", *options], env={"PGPASSWORD": PASSWORD, **(env or {})}, timeout=timeout)


def test_pg_receivewal_gets_the_same_segments(three):
    kept = Kept(three, wal_keep_size="'512MB'")
    fill(kept.primary, 60000)
    kept.primary.psql("SELECT pg_switch_wal()")
    kept.primary.psql("INSERT INTO t VALUES (0, 'one more')")
    end = end_of_wal(kept.primary)
    kept.primary.psql("INSERT INTO t VALUES (0, 'last')")  # it ends when it has got more than it wants
    kept.receive()
    give_certificate(kept.host, kept.host.folder / "tmp", "h3")
    certificate, key = (kept.host.folder / "tmp" / f"server.{ending}" for ending in ("crt", "key"))
    target = make_wal_folder(kept.standby_host, "received")
    first = wal_names(kept.folder)[0]
    shutil.copy(kept.folder / first, target / first)  # it goes on behind what it has
    shutil.chown(target / first, "postgres")
    with kept.serve("--tls-cert", certificate, "--tls-key", key) as served:
        refused = pg_receivewal(kept, served, "-D", target, "-n", env={"PGSSLMODE": "disable"})
        refused.expect_error(1, "does not take logins in clear text")
        strict = {"PGSSLMODE": "verify-ca", "PGSSLROOTCERT": certificate, "PGCHANNELBINDING": "require"}
        pg_receivewal(kept, served, "-S", "r1", "--create-slot", env=strict).expect(0)
        pg_receivewal(kept, served, "-D", target, "-S", "r1", "-n", "-E", end, env=strict).expect(0)
        pg_receivewal(kept, served, "-S", "r1", "--drop-slot", env=strict).expect(0)
        pg_receivewal(kept, served, "-S", "r1", "--drop-slot", env=strict).expect_error(1, "does not exist")
        asked = kept.standby_host.run(
            [DEBIAN.program("psql"), "-XAt", f"host={kept.host.address} port={PORT} user=replicator replication=true",
             "-c", "IDENTIFY_SYSTEM", "-c", "SHOW wal_segment_size"], env={"PGPASSWORD": PASSWORD, **strict}).expect(0)
        assert asked.out.splitlines()[1] == "16MB"
        assert asked.out.startswith(kept.primary.psql("SELECT system_identifier FROM pg_control_system()") + "|1|0/")
        served.stop()
    names = wal_names(target)
    assert len(names) > 1
    for name in names:
        assert (target / name).read_bytes() == (kept.primary.data / "pg_wal" / name).read_bytes()


def psql(kept, served, command, *options, conninfo="", env=None):
    return kept.standby_host.run(
        [DEBIAN.program("psql"), "-XAt", f"host={served.host.address} port={served.port} user=replicator {conninfo}",
         "-c", command, *options], env={"PGPASSWORD": PASSWORD, **(env or {})})


def test_what_a_client_is_refused(three):
    kept = Kept(three)
    fill(kept.primary, 10)
    kept.receive()
    with kept.serve("--allow-cleartext") as served:
        physical = "replication=true"
        psql(kept, served, "IDENTIFY_SYSTEM", conninfo=physical).expect(0)
        for env, conninfo in (({"PGPASSWORD": "wrong"}, physical), ({}, f"{physical} user=nobody")):
            psql(kept, served, "IDENTIFY_SYSTEM", conninfo=conninfo, env=env).expect_error(
                2, "password authentication failed for user")
        psql(kept, served, "SELECT 1", conninfo="dbname=postgres").expect_error(2, "this server takes no SQL")
        psql(kept, served, "START_REPLICATION 0/1000000 TIMELINE 7", conninfo=physical).expect_error(
            1, "requested timeline 7 is not in this server's history")
        psql(kept, served, "START_REPLICATION FF/0 TIMELINE 1", conninfo=physical).expect_error(
            1, "is ahead of the WAL flush position of this server")
        psql(kept, served, "TIMELINE_HISTORY 2", conninfo=physical).expect_error(1, "00000002.history")
        again = kept.host.standfast("wal", "serve", "-D", kept.folder, "--users", kept.users, "--listen", "127.0.0.1:5434")
        again.expect_error(IN_USE, "another process uses", "a \"wal receive\", a \"wal serve\" or a \"witness\" runs on it")
        receive(kept.host, kept.primary_host, kept.folder, end="0/1").expect_error(IN_USE, "another process uses", "wal serve")
        served.stop()


def test_what_it_does_not_start_with(three):
    kept = Kept(three)
    serve = ["wal", "serve", "-D", kept.folder, "--listen", f"127.0.0.1:{PORT}"]
    run = kept.host.standfast
    run(*serve).expect_error(USAGE, "nobody may log in")
    run(*serve, "--users", kept.users).expect_error(PRECONDITION, "holds no WAL")
    fill(kept.primary, 10)
    kept.receive()
    run("wal", "serve", "-D", kept.folder, "--users", kept.users, "--listen", f"0.0.0.0:{PORT}").expect_error(
        USAGE, "can be reached from other hosts", "--allow-cleartext")
    run(*serve, "--users", kept.users, "--tls-cert", kept.users).expect_error(USAGE, "go together")
    kept.users.chmod(0o644)
    run(*serve, "--users", kept.users).expect_error(PERMISSION, "others than its owner", "chmod 600")


CROWD = """
import os, socket, sys, time
address = (sys.argv[1], int(sys.argv[2]))
startup = b"\\0\\0\\0\\x08\\x04\\xd2\\x16\\x2f"
kinds = [b"", b"", b"\\0\\0", b"\\0\\x0f\\x42\\x40\\0\\3\\0\\0", os.urandom(4096), startup, b"GET / HTTP/1.1\\r\\n\\r\\n"]
held = []
for i in range(500):
    connection = socket.create_connection(address)
    connection.setblocking(False)
    try:
        connection.send(kinds[i % len(kinds)])
    except OSError:
        pass
    held.append(connection)
print("all are connected", flush=True)
time.sleep(3600)
"""


def test_a_crowd_that_never_logs_in_harms_nobody(three):
    kept = Kept(three)
    standby = kept.copy(kept.standby_host)
    fill(kept.primary, 100000)
    kept.receive()
    with kept.serve("--allow-cleartext") as served:
        crowd = kept.primary_host.start(["python3", "-c", CROWD, kept.host.address, PORT])
        try:
            wait_until(lambda: "all are connected" in crowd.out, 60, "a crowd of 500")
            kept.follow(standby, served.conninfo())
            wait_for_rows(standby, 100000)
            assert_streams_from(standby, kept.host)
            assert served.resident_megabytes() < 128
        finally:
            crowd.signal(signal.SIGKILL)
            crowd.wait()
        served.stop()
    standby.stop()
