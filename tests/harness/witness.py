"""`standfast witness` on a host of its own, a primary that it receives from, and standbys that stream from it.

The standbys begin as copies of the primary's files, taken while it stood still: no tool of any release is needed, and
they have its slots as well, so that the witness finds its own wherever it goes."""

import signal

from harness.binaries import DEBIAN
from harness.clones import PASSWORD, primary_by_hand
from harness.waiting import wait_until
from harness.wal import PORT, make_wal_folder, users_file

NAME = "witness1"
_INSERT = "INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, {}) AS i"


def _conninfo(host, port):
    password = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    return f"host={host} port={port} user=replicator password='{password}'"


class Witness:
    """The command, its folder and its users; it runs from `start` on."""

    def __init__(self, host, primary, *options, conninfo=None, listen=None, folder="wal"):
        self.host, self.name, self.port, self.running = host, NAME, PORT, None
        self.folder = make_wal_folder(host, folder)
        self.users = users_file(host, primary)
        conninfo = conninfo or f"host={primary.host.address} port={primary.port}"
        listen = listen or [f"{host.address}:{PORT}"]
        self.command = host.standfast_command(
            "witness", "-d", f"{conninfo} user=replicator", "--name", NAME, "-D", self.folder, "--users", self.users,
            "--allow-cleartext", *(word for one in listen for word in ("--listen", one)), *options)

    def start(self, *options):
        """Up to its first word on the address that it serves on."""
        self.running = self.host.start([*self.command, *map(str, options)], env={"PGPASSWORD": PASSWORD})
        wait_until(lambda: "serving WAL" in self.running.out or not self.running.alive, 60, "the witness serves")
        assert self.running.alive, self.running.err
        return self

    def stop(self):
        self.running.signal(signal.SIGTERM)
        return self.running.wait(60).expect(0)

    def kill(self):
        self.running.signal(signal.SIGKILL)
        self.running.wait()

    def conninfo(self, *, host=None):
        """For a standby that streams from it."""
        return _conninfo(host or self.host.address, self.port)

    def ask(self, command, *, host=None, sender=None):
        """What it answers to a replication command, as lines of columns parted by |."""
        return (sender or self.host).run(
            [DEBIAN.program("psql"), "-XAt", "-c", command,
             f"host={host or self.host.address} port={self.port} user=replicator replication=true"],
            env={"PGPASSWORD": PASSWORD})

    def position(self):
        """Its timeline, and up to where it serves that."""
        _, timeline, end, _ = self.ask("IDENTIFY_SYSTEM").expect(0).out.strip().split("|")
        return int(timeline), end

    def streams_from(self, server, deadline_seconds=60):
        wait_until(lambda: server.psql(f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{NAME}' AND "
                                       "state = 'streaming' AND flush_lsn IS NOT NULL") == "1", deadline_seconds,
                   "the witness's stream")


class World:
    """A primary on h1, as many standbys on h2 as are made, a witness on h3. `put` writes rows, `arrives` waits for all of
    them."""

    def __init__(self, network, binaries=DEBIAN, *, standbys=1, **settings):
        self.h1, self.h2, self.h3 = (network.host(f"h{i}", f"10.20.20.{i}") for i in (1, 2, 3))
        self.network, self.binaries, self.rows = network, binaries, 0
        self.primary = primary_by_hand(self.h1, binaries, "--wal-segsize=1", autovacuum="off", shared_buffers="'16MB'",
                                       wal_retrieve_retry_interval="'200ms'", wal_receiver_status_interval="'1s'", **settings)
        self.primary.psql("CREATE TABLE t (n int, pad text)")
        self.primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
        self.primary.stop()
        ports = range(5432, 5432 + standbys)
        self.standbys = [self.primary.copy_to(self.h2, self.h2.cluster_folder / f"standby{port}", port) for port in ports]
        self.primary.start()
        # Wherever the primary is by now: a standby's own receiver would be sent away.
        hosts = ",".join([self.h1.address, *(self.h2.address for _ in ports)])
        conninfo = (f"host={hosts} port={','.join(map(str, [5432, *ports]))} target_session_attrs=read-write "
                    "connect_timeout=3")
        self.witness = Witness(self.h3, self.primary, conninfo=conninfo).start()

    def follow(self, standby, conninfo=None, **settings):
        """Starts a standby, behind the witness unless told otherwise."""
        standby.host.write(standby.data / "standby.signal", "")
        escaped = (conninfo or self.witness.conninfo()).replace("\\", "\\\\").replace("'", "''")
        return standby.configure(primary_conninfo=f"'{escaped}'", hot_standby="on", **settings).start()

    def primary_conninfo(self):
        return _conninfo(self.h1.address, self.primary.port)

    def put(self, server=None, rows=100):
        (server or self.primary).psql(_INSERT.format(rows))
        self.rows += rows

    def start_load(self, rows):
        """The same, not waited for."""
        self.rows += rows
        return self.h1.start([DEBIAN.program("psql"), "-Xq", "-h", "/tmp", "-p", self.primary.port, "-U", "postgres", "-c",
                              _INSERT.format(rows)])

    def seen(self, standby):
        """The rows that a query on a hot standby sees."""
        assert standby.psql("SELECT pg_is_in_recovery()") == "t"
        return int(standby.psql("SELECT count(*) FROM t"))

    def arrives(self, *standbys):
        for standby in standbys:
            wait_until(lambda standby=standby: self.seen(standby) == self.rows, 120, f"{self.rows} rows on a standby")


def wal_names(folder):
    return sorted(path.name for path in folder.iterdir() if len(path.name) == 24)


def assert_same_segments(server, folder, *, timeline=1):
    """The whole segments of a folder are the server's own, byte for byte; how many were compared."""
    names = [name for name in wal_names(folder) if name.startswith(f"{timeline:08X}")]
    own = [name for name in names if (server.data / "pg_wal" / name).exists()]
    for name in own:
        assert (server.data / "pg_wal" / name).read_bytes() == (folder / name).read_bytes(), name
    return len(own)
