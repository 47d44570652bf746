"""A standby promoted without commits that only the witness has: it says what is missing and keeps it, whoever goes on."""

import pytest

from harness.waiting import wait_until
from harness.witness import NAME, World


def bytes_of(folder, timeline=1):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith(f"{timeline:08X}")}


def fork_of(server):
    return server.psql("SELECT split_part(pg_read_file('pg_wal/00000002.history'), E'\\t', 2)")


@pytest.mark.quick
def test_what_only_the_witness_has_outlives_a_promotion_without_it(network):
    world = World(network)
    witness, standby = world.witness, world.follow(world.standbys[0], world.primary_conninfo())
    witness.streams_from(world.primary)
    world.h1.standfast("sync", "enable", NAME, "-h", "/tmp", "-U", "postgres").expect(0)
    world.put()
    world.arrives(standby)
    network.link_down(world.h2)
    world.put(rows=4000)  # more than a segment, acknowledged by the witness alone
    world.primary.kill()
    network.link_down(world.h1)  # whose kernel would still deliver what the dead server had sent
    network.link_up(world.h2)
    witness.kill()

    def promote(*options):
        return world.h2.standfast("standby", "promote", "-D", standby.data, "--witness",
                                  f"host={world.h3.address} port=5433", *options, timeout=90)

    promote().expect_error(10, "cannot be asked", "the standby has WAL up to ", "--accept-data-loss")
    assert world.seen(standby) == 100
    assert "may be lost" in promote("--accept-data-loss").expect(0).err
    fork = fork_of(standby)

    witness.start()
    acknowledged = witness.position()
    said = f"from {fork} to {acknowledged[1]}"
    # Of the two addresses of its conninfo the first says nothing, and has three seconds.
    wait_until(lambda: said in witness.running.err, 60, f"a word of the WAL {said}")
    network.link_up(world.h1)
    assert f"--accept-fork {fork}" in witness.running.err
    assert witness.position() == acknowledged and witness.running.alive
    standby.psql("INSERT INTO t VALUES (0, 'goes on without')")
    # It asks now and then, and never stays.
    wait_until(lambda: standby.psql("SELECT count(*) FROM pg_stat_replication") == "0", 30, "nobody who streams")
    witness.stop()
    kept = bytes_of(witness.folder)
    assert sum(len(name) == 24 for name in kept) > 1

    witness.start("--accept-fork", "0/1000000")  # another one is not accepted
    wait_until(lambda: said in witness.running.err, 60, f"a word of the WAL {said}")
    witness.stop()
    witness.start("--accept-fork", fork)
    witness.streams_from(standby)
    standby.psql("INSERT INTO t VALUES (0, 'seen by the witness')")
    end = standby.psql("SELECT pg_current_wal_flush_lsn()")
    wait_until(lambda: standby.psql(f"SELECT flush_lsn >= '{end}' FROM pg_stat_replication") == "t", 60,
               f"the new timeline up to {end}")
    wait_until(lambda: witness.position()[0] == 2, 30, "the new timeline served")  # the primary is told first
    witness.stop()
    assert bytes_of(witness.folder) == kept
    witness.start()  # from here on it is the history, and needs no word any more
    witness.streams_from(standby)
    witness.stop()

    # What was acknowledged is what the dead primary wrote.
    for name, content in kept.items():
        own = (world.primary.data / "pg_wal" / name.removesuffix(".partial")).read_bytes()
        length = len(own) if len(name) == 24 else int(acknowledged[1].partition("/")[2], 16) % len(own)
        assert content[:length] == own[:length], name
