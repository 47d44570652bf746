"""The proof that a standby is a copy of its primary: both have the same rows, the indexes of both fit their tables, and, when
both have come to rest at the same position, their blocks are the same (harness/blocks.py)."""

import struct

from harness import blocks
from harness.binaries import DEBIAN
from harness.cluster import wait_for_replay
from harness.members import content
from harness.waiting import wait_until

_SHUT_DOWN, _SHUT_DOWN_IN_RECOVERY = 1, 2


def databases(server):
    return server.psql("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1").splitlines()


def add_amcheck(primary):
    for database in databases(primary):
        primary.psql("CREATE EXTENSION IF NOT EXISTS amcheck", database=database)


def check_indexes_and_heaps(server):
    """In each of its databases, as amcheck of its major can."""
    if server.binaries.major >= 14:
        port, folder = server.host.server_socket(server.data)
        checked = server.host.run([DEBIAN.program("pg_amcheck"), "-h", folder, "-p", port, "--all", "--heapallindexed"],
                                  timeout=180)
        checked.expect(0)
        assert "skipping" not in checked.err, checked
        return
    for database in databases(server):
        server.psql("SELECT bt_index_check(i.indexrelid, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
                    "JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree' AND c.relpersistence = 'p' AND c.relkind = 'i' "
                    "AND i.indisready AND i.indisvalid", database=database, timeout=180)


class _Control:
    """What a stopped server's pg_control says: its state, and the last checkpoint with what that has of the cluster."""

    def __init__(self, data):
        raw = (data / "global" / "pg_control").read_bytes()
        self.state, = struct.unpack_from("=I", raw, 16)
        self.position, = struct.unpack_from("=Q", raw, 32)
        self.checkpoint = raw[40:40 + 72]  # from the redo position to the time of the checkpoint


def stop_both(primary, standby):
    """The primary first, so that the standby gets its last checkpoint, and makes a restartpoint of it when it stops."""
    primary.psql("CHECKPOINT", timeout=120)
    wait_for_replay(primary, standby)
    primary.stop()
    end = _Control(primary.data)
    wait_until(lambda: int(standby.psql("SELECT pg_last_wal_replay_lsn() - '0/0'")) > end.position, 60, "the last checkpoint")
    standby.stop()
    there = _Control(standby.data)
    assert (end.state, there.state) == (_SHUT_DOWN, _SHUT_DOWN_IN_RECOVERY)
    assert (end.position, end.checkpoint) == (there.position, there.checkpoint)


def compare_blocks(primary, standby):
    """Of two servers that have been stopped by stop_both()."""
    major = int((primary.data / "PG_VERSION").read_text())
    return blocks.compare(*(blocks.content_files(server.data, server.host.real) for server in (primary, standby)), major)


def assert_equal(primary, standby):
    """The standby runs and follows; nobody else writes. Both are stopped afterwards. Returns what was compared."""
    add_amcheck(primary)
    wait_for_replay(primary, standby)
    assert content(primary) == content(standby)
    for server in (primary, standby):
        check_indexes_and_heaps(server)
    stop_both(primary, standby)
    result = compare_blocks(primary, standby)
    result.assert_equal()
    return result
