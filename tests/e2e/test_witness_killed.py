"""`witness` killed with SIGKILL while commits wait for it, also inside a record of many segments, and its primary at the
end: every commit that a client was told of is in the witness's WAL alone, by files and by streaming."""

import random
import re
from collections import Counter

import pytest

from harness.binaries import DEBIAN
from harness.clones import PASSWORD, primary_by_hand
from harness.cluster import Cluster
from harness.waiting import wait_until
from harness.witness import NAME, Witness, assert_same_segments

MIB = 1 << 20
RECORD_MEGABYTES = 48
KILLS = 50
SLOW_MEGABITS, FAST_MEGABITS = 24, 200

COMMIT = """\
\\set n :n + 1
\\set size random(10, 20000)
INSERT INTO told VALUES (:client_id, :n, repeat('x', :size));
"""


class Commits:
    """pgbench: each transaction writes its client's next number, and what it logs it was told of."""

    def __init__(self, host, clients=3):
        port, socket_folder = host.server_socket()
        self._log = host.cluster_folder / "commits"
        script = host.write("commits.sql", COMMIT)
        self.running = host.start(
            [DEBIAN.program("pgbench"), "-n", "-c", clients, "-T", 600, "-D", "n=0", "-f", script, "-l", "--log-prefix",
             self._log, "-h", socket_folder, "-p", port, "postgres"], env={"PGOPTIONS": "-c synchronous_commit=on"})

    def told(self):
        """By client, when the server is gone: its numbers from 1 to this one."""
        self.running.wait(60)
        (log,) = self._log.parent.glob(f"{self._log.name}.*")
        return Counter(int(line.split()[0]) for line in log.read_text().splitlines())


def rows(server):
    return int(server.psql("SELECT count(*) FROM told"))


def lacking(server, told):
    """Whose rows are not all there that it was told of, in words."""
    there = {client: int(server.psql(f"SELECT count(*) FROM told WHERE client = {client} AND n <= {count}"))
             for client, count in told.items()}
    return [f"client {client}: told of {told[client]}, {count} are there" for client, count in there.items()
            if count != told[client]]


class Kept:
    """A primary whose commits wait for a witness, and a copy of it from before the first of them."""

    def __init__(self, network):
        self.seed = random.randrange(2**32)
        print(f"seed {self.seed}")
        self.random = random.Random(self.seed)
        self.h1, self.h3 = network.host("h1", "10.20.20.1"), network.host("h3", "10.20.20.3")
        self.primary = primary_by_hand(self.h1, DEBIAN, "--wal-segsize=1", wal_keep_size="'1GB'", autovacuum="off",
                                       synchronous_commit="local", synchronous_standby_names=f"'ANY 1 ({NAME})'")
        self.primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
        self.witness = Witness(self.h3, self.primary).start()
        self.witness.streams_from(self.primary)
        self.primary.psql("CREATE TABLE told (client int, n int, pad text); ALTER TABLE told ALTER pad SET STORAGE EXTERNAL")
        self.base = self.h1.cluster_folder / "base"
        self.h1.run([DEBIAN.program("pg_basebackup"), "-h", self.h1.address, "-U", "replicator", "-D", self.base, "-X", "none",
                     "-c", "fast"], env={"PGPASSWORD": PASSWORD}, timeout=120).expect(0)

    def copy(self, name, port, signal, **settings):
        """Of the primary as it was, recovering from the witness alone."""
        data = self.h1.cluster_folder / name
        self.h1.run(["cp", "-a", self.base, data]).expect(0)
        server = Cluster(self.h1, DEBIAN, data=data)
        server.configure(port=port, synchronous_standby_names="''", recovery_target_timeline="'current'",
                         wal_retrieve_retry_interval="'200ms'", **settings)
        self.h1.write(data / signal, "")
        return server.start()

    def assert_nothing_is_lost(self, told):
        assert sum(told.values()) > 0
        what = f"seed {self.seed}"
        restored = self.copy("restored", 5433, "recovery.signal",
                             restore_command=f"'{self.h1.network.program} wal get %f %p -D {self.witness.folder}'")
        wait_until(lambda: restored.psql("SELECT pg_is_in_recovery()") == "f", 120, "the end of recovery")
        assert not lacking(restored, told), f"from files, {what}"
        restored.stop("immediate")
        conninfo = self.witness.conninfo().replace("\\", "\\\\").replace("'", "''")
        standby = self.copy("standby", 5434, "standby.signal", primary_conninfo=f"'{conninfo}'")
        wait_until(lambda: not lacking(standby, told), 120, f"all rows on a standby of the witness, {what}")
        standby.stop("immediate")


def test_killed_at_random_moments_it_loses_no_commit_that_was_told_of(network):
    kept = Kept(network)
    commits = Commits(kept.h1)
    for _ in range(KILLS):
        kept.witness.kill()
        kept.witness.start()
        wanted = rows(kept.primary) + 1 + kept.random.randrange(60)
        wait_until(lambda wanted=wanted: rows(kept.primary) >= wanted, 120, "commits to go on")
    # The witness first: what it has acknowledged by then is all that it may be asked for, and all of that.
    kept.witness.kill()
    kept.primary.kill()
    told = commits.told()
    kept.witness.start()
    kept.assert_nothing_is_lost(told)
    assert_same_segments(kept.primary, kept.witness.folder)


class LargeRecord:
    """A record that is on its way to the witness, slowly; its commit waits for all of it."""

    def __init__(self, kept):
        self._kept = kept
        kept.h3.network.limit_rate(kept.h3, SLOW_MEGABITS)  # who acts when it is inside has seconds for it
        self._start = self._position(kept.primary.psql("SELECT pg_current_wal_insert_lsn()"))
        self.running = kept.h1.start(
            [DEBIAN.program("psql"), "-XqAt", "-h", "/tmp", "-U", "postgres", "-c",
             f"SELECT pg_logical_emit_message(true, 'large', repeat('x', {RECORD_MEGABYTES * MIB}))"],
            env={"PGOPTIONS": "-c synchronous_commit=on"})

    @staticmethod
    def _position(lsn):
        high, low = lsn.split("/")
        return int(high, 16) << 32 | int(low, 16)

    def _received(self):
        """Where the newest segment of the witness begins, behind the record's start."""
        newest = max(name.name for name in self._kept.witness.folder.iterdir() if re.match("[0-9A-F]{24}", name.name))
        return (int(newest[8:16], 16) << 32) + int(newest[16:24], 16) * MIB - self._start

    def wait_until_inside(self):
        """How many bytes of segments the witness has begun by then."""
        at = self._kept.random.randrange(3, RECORD_MEGABYTES // 2) * MIB
        received = wait_until(lambda: (now := self._received()) >= at and now, 120, f"{at} bytes of a large record")
        assert received < (RECORD_MEGABYTES - 4) * MIB, "it was too fast"
        return received


@pytest.mark.parametrize("witness_too", [True, False], ids=["and-the-witness", "alone"])
def test_a_primary_that_is_killed_inside_a_large_record(network, witness_too):
    kept = Kept(network)
    commits = Commits(kept.h1)
    wait_until(lambda: rows(kept.primary) > 100, 120, "commits")
    if witness_too:
        for _ in range(3):
            record = LargeRecord(kept)
            record.wait_until_inside()
            kept.witness.kill()
            network.limit_rate(kept.h3, FAST_MEGABITS)
            kept.witness.start()
            record.running.wait(120).expect(0)
    record = LargeRecord(kept)
    received = record.wait_until_inside()
    if witness_too:
        kept.witness.kill()
    kept.primary.kill()
    assert record.running.wait(60).code != 0, "its commit was not acknowledged"
    told = commits.told()
    if witness_too:
        kept.witness.start()
    kept.assert_nothing_is_lost(told)
    assert assert_same_segments(kept.primary, kept.witness.folder) >= received // MIB
    kept.h3.standfast("wal", "verify", "-D", kept.witness.folder).expect(0)
