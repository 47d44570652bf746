"""A primary and its standby that are members of their cluster, each with an agent, and how two servers are compared."""

from harness.binaries import DEBIAN
from harness.cluster import Cluster, wait_for_replay
from harness.steps import carry_token, join, pg_bin
from harness.waiting import wait_until

_HBA = """\
local all all trust
host all all samenet trust
host replication all samenet trust
"""


def member_primary(h1, h2, prepare, binaries=DEBIAN, **settings):
    """A primary with an agent, which has invited a standby. `prepare` is done before."""
    primary = Cluster(h1, binaries).init("-k").configure(listen_addresses="'*'", **settings)
    (primary.data / "pg_hba.conf").write_text(_HBA)
    primary.start()
    prepare(primary)
    h1.standfast("primary", "setup", "-D", h1.data, "--standby", h2.address, "--agent", "--restart",
                 *pg_bin(binaries), timeout=120).expect(0)
    return primary


def member_pair(h1, h2, prepare, binaries=DEBIAN, **settings):
    """A primary and its standby, each with an agent. What is there before the copy is the same, bit by bit: hint bits of
    later pages are not."""
    primary = member_primary(h1, h2, prepare, binaries, **settings)
    join(h2, carry_token(h1, h2), "--agent", binaries=binaries).expect(0)
    return primary, Cluster(h2, binaries)


def fill_and_freeze(primary, megabytes=40):
    if primary.binaries == DEBIAN:
        primary.psql("CREATE EXTENSION IF NOT EXISTS amcheck")
    primary.psql(f"CREATE TABLE filler AS SELECT i, repeat(md5(i::text), 30) AS t "
                 f"FROM generate_series(1, {megabytes * 1024}) AS i", timeout=120)
    primary.psql("CREATE INDEX ON filler (i)", timeout=120)
    primary.psql("VACUUM (ANALYZE, FREEZE) filler", timeout=120)
    primary.psql("CHECKPOINT", timeout=120)


def promote(standby):
    standby.host.run([standby.binaries.program("pg_ctl"), "-D", standby.data, "-w", "promote"]).expect(0)
    wait_until(lambda: standby.psql("SELECT pg_is_in_recovery()") == "f", 60, "the promotion")
    standby.psql("CHECKPOINT", timeout=120)


_DIGESTS = r"""
SELECT format('SELECT %L, count(*) || md5(coalesce(string_agg(t::text, %L ORDER BY t::text), %L)) FROM %s AS t',
              c.oid::regclass, '/', '', c.oid::regclass)
FROM pg_class AS c WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND c.relnamespace NOT IN
    (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema', 'pg_toast')) ORDER BY c.oid
\gexec
"""


def content(server):
    """A digest of each table of each database."""
    port, folder = server.host.server_socket(server.data)
    found = {}
    for database in server.psql("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1").splitlines():
        told = server.host.run([DEBIAN.program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", folder, "-p", port, "-d",
                                database], stdin=_DIGESTS, timeout=180).expect(0).out
        found.update(((database, table), digest) for table, digest in (line.rsplit("|", 1) for line in told.splitlines()))
    return found


def assert_follows(server, source, slot):
    """It starts, streams what comes now, and has what the source has; indexes and heaps fit."""
    server.start()
    assert server.psql("SELECT pg_is_in_recovery()") == "t"
    wait_until(lambda: server.psql("SELECT status FROM pg_stat_wal_receiver") == "streaming", 60, "a stream")
    assert server.psql("SELECT coalesce(slot_name, '') FROM pg_stat_wal_receiver") == slot
    source.psql("CREATE TABLE IF NOT EXISTS arrives AS SELECT 42 AS answer")
    wait_for_replay(source, server)
    assert content(server) == content(source)
    for checked in (source, server) if server.binaries == DEBIAN else ():
        port, folder = checked.host.server_socket(checked.data)
        checked.host.run([DEBIAN.program("pg_amcheck"), "-h", folder, "-p", port, "--heapallindexed", "-d", "postgres"],
                         timeout=120).expect(0)
