"""All that makes a copy hard, at once, on a primary: pgbench, rows in indexes of each kind, and files that come, go and
move: VACUUM FULL, databases that are made and dropped, tables that are moved between tablespaces.

A database that is moved is not part of it: from a base backup within which one was, PostgreSQL replays it empty."""

import shutil
import signal
from collections import Counter

from harness.binaries import DEBIAN
from harness.load import pgbench_init
from harness.waiting import wait_until

SPACES = "/srv/standfast-turmoil"  # of each host its own
_WORLD = """
CREATE TABLE turns (kind text, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE specimen (i int, t text, b int4range, p point, key int UNIQUE);
INSERT INTO specimen SELECT i, md5(i::text), int4range(i, i + 5), point(i, i), i FROM generate_series(1, 3000) AS i;
CREATE INDEX ON specimen (t);
CREATE INDEX ON specimen USING hash (t);
CREATE INDEX ON specimen USING gin ((ARRAY[i / 2, i % 50]));
CREATE INDEX ON specimen USING gist (b);
CREATE INDEX ON specimen USING spgist (p);
CREATE INDEX ON specimen USING brin (i) WITH (pages_per_range = 2);
CREATE TABLE parents (id int PRIMARY KEY, note text);
INSERT INTO parents SELECT i, '' FROM generate_series(0, 4) AS i;
CREATE TABLE children (id serial PRIMARY KEY, parent int REFERENCES parents, body text);
ALTER TABLE children ALTER body SET STORAGE EXTERNAL;
CREATE UNLOGGED TABLE passing AS SELECT i FROM generate_series(1, 1000) AS i;
CREATE TABLE packed AS SELECT i, repeat(md5(i::text), 30) AS t FROM generate_series(1, 2000) AS i;
CREATE INDEX ON packed (i);
CREATE TABLE moved AS SELECT i, md5(i::text) AS t FROM generate_series(1, 5000) AS i;
CREATE INDEX ON moved (t);
"""
_ROWS = r"""
\set i random(1, 3000)
BEGIN;
UPDATE specimen SET t = md5(random()::text), b = int4range(:i, :i + 9), p = point(random() * 100, :i) WHERE i = :i;
INSERT INTO specimen SELECT :i, md5(random()::text), int4range(:i, :i + 5), point(:i, 0), :i
    ON CONFLICT (key) DO UPDATE SET i = 1 + excluded.i % 3000;
INSERT INTO children (parent, body) VALUES (:i % 5, repeat(md5(random()::text), 100));
UPDATE parents SET note = md5(random()::text) WHERE id = :i % 5;
SAVEPOINT here;
INSERT INTO specimen (i, t) VALUES (:i, md5(random()::text));
ROLLBACK TO here;
DELETE FROM children WHERE id < (SELECT max(id) - 300 FROM children);
END;
BEGIN;
INSERT INTO children (parent, body) VALUES (:i % 5, 'never');
UPDATE packed SET i = i + 1 WHERE i % 100 = :i % 100;
ROLLBACK;
"""
_UPHEAVALS = {
    "VACUUM FULL": "UPDATE packed SET t = t || 'x' WHERE i % 7 = 1;\nVACUUM FULL packed;",
    "CREATE and DROP DATABASE": "DROP DATABASE IF EXISTS passing;\nCREATE DATABASE passing;\nDROP DATABASE passing;",
    "ALTER TABLE SET TABLESPACE": "ALTER TABLE moved SET TABLESPACE there;\nALTER TABLE moved SET TABLESPACE here;\n"
                                  "UPDATE moved SET i = i + 1;\nALTER TABLE moved SET TABLESPACE pg_default;",
}


def give_places(host):
    """For tablespaces; before the host's server starts."""
    shutil.chown(host.bind(SPACES), "postgres")


def prepare(primary):
    """What the turmoil needs, in a cluster that is new."""
    for name in ("here", "there"):
        primary.host.run(["mkdir", f"{SPACES}/{name}"]).expect(0)
        primary.psql(f"CREATE TABLESPACE {name} LOCATION '{SPACES}/{name}'")
    primary.psql(_WORLD)
    primary.psql("CREATE DATABASE elsewhere TABLESPACE there")
    primary.psql("CREATE TABLE stays AS SELECT i, md5(i::text) AS t FROM generate_series(1, 2000) AS i", database="elsewhere")
    pgbench_init(primary.host, scale=2, data=primary.data)


class Turmoil:
    """From construction, when each kind has been seen once, until `stop`."""

    def __init__(self, server):
        self._server = server
        self._running = [self._pgbench("-c", 2, "-R", 60, "-b", "tpcb-like"),
                         self._pgbench("-c", 3, "-R", 30, "-f", self._script("rows", _ROWS))]
        for number, (kind, text) in enumerate(_UPHEAVALS.items()):
            script = self._script(f"upheaval{number}", f"{text}\nINSERT INTO turns VALUES ('{kind}');\n\\sleep 700 ms\n")
            self._running.append(self._pgbench("-c", 1, "-f", script))
        self.wait_for_each(Counter())

    def _script(self, name, text):
        return self._server.host.write(f"{name}.sql", text)

    def _pgbench(self, *options):
        port, folder = self._server.host.server_socket(self._server.data)
        return self._server.host.start([DEBIAN.program("pgbench"), "-n", "-T", 280, "-h", folder, "-p", port, *options,
                                        "postgres"])

    def turns(self):
        """How often each kind has been through by now."""
        rows = self._server.rows("SELECT kind, count(*) FROM turns GROUP BY kind UNION ALL "
                                 "SELECT 'pgbench', count(*) FROM pgbench_history")
        return Counter({row["kind"]: int(row["count"]) for row in rows})

    def each_since(self, before):
        turns = self.turns() - before
        return all(turns[kind] > 0 for kind in ("pgbench", *_UPHEAVALS))

    def wait_for_each(self, before):
        wait_until(lambda: self._assert_alive() or self.each_since(before), 120, "a turn of each kind")

    def _assert_alive(self):
        for running in self._running:
            assert running.alive, running.wait()

    def stop(self):
        """What it began is ended by its server, too."""
        self._assert_alive()
        for running in self._running:
            running.signal(signal.SIGINT)
        for running in self._running:
            running.wait(60)
        wait_until(lambda: self._server.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'")
                   == "0", 60, "the end of what was begun")

    def forget(self):
        """Its server is gone: so will it be."""
        for running in self._running:
            running.wait(60)
