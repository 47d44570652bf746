"""Servers whose WAL `standfast wal receive` keeps, beside each other on one host, and a folder for it on another."""

from harness.binaries import DEBIAN
from harness.cluster import Cluster
from harness.waiting import wait_until


def primary_on(host, binaries=DEBIAN, *options, **settings):
    cluster = Cluster(host, binaries).init(*options)
    keep = {"wal_keep_size": "'1GB'"} if binaries.major >= 13 else {"wal_keep_segments": "64"}
    cluster.configure(listen_addresses="'*'", **keep, **settings)
    with open(cluster.data / "pg_hba.conf", "a", encoding="utf-8") as hba:
        hba.write("host replication all 10.20.20.0/24 trust\nhost all all 10.20.20.0/24 trust\n")
    return cluster.start()


def folder_on(host, name="wal"):
    folder = host.folder / name
    host.run(["mkdir", "-m", "700", folder], user="root").expect(0)
    host.run(["chown", "postgres", folder], user="root").expect(0)
    return folder


def wait_until_flushed(primary, lsn):
    """By a receiver: a standby that streams from there as well is known as walreceiver, and says nothing of one."""
    wait_until(lambda: primary.psql(f"SELECT coalesce(bool_or(flush_lsn >= '{lsn}'), false) FROM pg_stat_replication "
                                    "WHERE application_name <> 'walreceiver'") == "t", 60, f"{lsn} reported as flushed")


def write_some(primary, table, rows=20000):
    primary.psql(f"CREATE TABLE {table} AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, {rows}) i")


def standby_of(primary, host, data, port):
    """A standby beside its primary, made by hand."""
    host.run([DEBIAN.program("pg_basebackup"), "-h", "/tmp", "-p", primary.port, "-U", "postgres", "-D", data, "-R", "-c", "fast",
              "-X", "stream"], timeout=120).expect(0)
    standby = Cluster(host, DEBIAN, data=data, port=port)
    standby.configure(port=port)
    return standby.start()
