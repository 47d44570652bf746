"""A plain PostgreSQL server on a host, made without Standfast: what an administrator already has."""

import contextlib
import os
import signal
from pathlib import Path

from harness.processes import has_ended
from harness.waiting import wait_until

_PAGE = 8192


class Cluster:
    def __init__(self, host, binaries, data=None, port=5432):
        self.host, self.binaries, self.port = host, binaries, port
        self.data = Path(data) if data else host.data

    def init(self, *options, auth="trust"):
        self.host.run([self.binaries.program("initdb"), "-D", self.data, "-U", "postgres", "-A", auth, "-N",
                       *options]).expect(0)
        self.configure(port=self.port, unix_socket_directories="'/tmp'", fsync="off")
        return self

    def configure(self, **settings):
        """Adds lines to postgresql.conf; values are written as they are."""
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in settings.items())
        return self

    def quiet(self):
        """Settings by which a server that is left alone writes nothing, so that its files can be compared while it runs:
        no list of running transactions for standbys some 15 s after its start, no autovacuum, no checkpoint."""
        return self.configure(wal_level="minimal", max_wal_senders=0, autovacuum="off", checkpoint_timeout="'1d'")

    def _pg_ctl(self, *args):
        return self.host.run([self.binaries.program("pg_ctl"), "-D", self.data, "-w", "-t", "150", *args],
                             timeout=180).expect(0)

    def start(self):
        self._pg_ctl("-l", self.data.parent / f"{self.data.name}.log", "start")
        return self

    def stop(self, mode="fast"):
        self._pg_ctl("-m", mode, "stop")
        return self

    def restart(self):
        return self.stop().start()

    def reload(self):
        self._pg_ctl("reload")
        return self

    @property
    def running(self):
        return (self.data / "postmaster.pid").exists()

    def copy_to(self, host, data=None, port=5432):
        """Another cluster with the same files, made of one that does not run."""
        assert not self.running
        copy = Cluster(host, self.binaries, data, port)
        host.run(["cp", "-a", self.data, copy.data], user="root").expect(0)
        return copy.configure(port=port)

    def log(self):
        """What the server has said since it was made."""
        return (self.data.parent / f"{self.data.name}.log").read_text()

    def kill(self):
        """SIGKILL for all of its processes, as if the power were gone."""
        postmaster = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGSTOP)  # it has no further children from here on
        children = map(int, self.host.run(["pgrep", "-P", postmaster]).expect(0).out.split())
        processes = [postmaster, *children]
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):  # a session that ended meanwhile by itself
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(has_ended(pid) for pid in processes), 60, "the end of its processes")

    def psql(self, sql, **options):
        return self.host.psql(sql, data=self.data, **options)

    def rows(self, sql, **options):
        return self.host.rows(sql, data=self.data, **options)

    def damage_page(self, table, *, database="postgres", block=0):
        """Flips a byte of a page on disk, behind the server's back, in an area that only the checksum covers. Nobody who
        reads the table before the server's next stop has a hint to set, which would have the good page written again."""
        self.psql(f"ALTER TABLE {table} SET (autovacuum_enabled = off)", database=database)
        self.psql(f"VACUUM (FREEZE) {table}", database=database)
        self.psql("CHECKPOINT", database=database)
        path = self.data / self.psql(f"SELECT pg_relation_filepath('{table}')", database=database)
        with open(path, "r+b") as relation:
            relation.seek(block * _PAGE + _PAGE - 40)
            byte = relation.read(1)[0]
            relation.seek(-1, 1)
            relation.write(bytes([byte ^ 0xFF]))
        return path


def wait_for_replay(primary, standby, deadline_seconds=120):
    """Waits until the standby has replayed all that the primary has committed by now. Both are anything with psql()."""
    lsn = primary.psql("SELECT pg_current_wal_lsn()")
    wait_until(lambda: standby.psql(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'::pg_lsn") == "t", deadline_seconds,
               f"replay of {lsn}")
