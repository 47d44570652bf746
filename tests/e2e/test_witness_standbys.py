"""Real standbys behind `standfast witness`, through what happens to the servers around them."""

import re

import pytest

from harness.binaries import DEBIAN, npm
from harness.waiting import wait_until
from harness.witness import NAME, World, assert_same_segments

AHEAD = re.compile(r"is ahead of the (WAL flush position of this|upstream) server")  # the latter from 15.19 on


@pytest.fixture(params=[12, pytest.param(15, marks=pytest.mark.quick), 18])
def binaries(request):
    return DEBIAN if request.param == 15 else npm(request.param)


def receiver_of(standby):
    """From where a standby streams, and which timeline."""
    return standby.psql("SELECT status, sender_host, sender_port, received_tli FROM pg_stat_wal_receiver")


def test_standbys_go_on_after_a_witness_that_was_away_and_a_network_that_was_cut(network, binaries):
    world = World(network, binaries)
    standby = world.follow(world.standbys[0], wal_receiver_timeout="'2s'")
    world.put()
    world.arrives(standby)

    world.witness.stop()
    world.put()
    assert world.seen(standby) < world.rows
    world.witness.start()
    world.arrives(standby)

    before = world.witness.position()
    load = world.start_load(30000)
    wait_until(lambda: world.witness.position() != before, 60, "WAL on its way")
    world.witness.kill()
    load.wait().expect(0)
    world.witness.start()
    world.put()  # the load may all have arrived before the kill: only this shows that it streams again
    world.arrives(standby)

    network.link_down(world.h3)
    world.put()
    wait_until(lambda: "terminating walreceiver due to timeout" in standby.log(), 60, "a standby that has noticed")
    assert world.seen(standby) < world.rows
    network.link_up(world.h3)
    world.arrives(standby)
    world.witness.stop()
    assert assert_same_segments(world.primary, world.witness.folder) > 10


def test_a_standby_has_everything_while_the_primary_is_gone_and_one_ahead_of_the_witness_waits(network, binaries):
    world = World(network, binaries, standbys=2)
    behind, ahead = world.standbys
    world.follow(behind)
    world.follow(ahead, world.primary_conninfo())
    world.put()
    world.arrives(behind, ahead)
    had = world.rows

    world.witness.stop()
    world.put(rows=5000)
    world.arrives(ahead)
    ahead.stop()
    world.primary.kill()
    world.witness.start()
    held = world.witness.position()
    world.follow(ahead)
    wait_until(lambda: AHEAD.search(ahead.log()), 60, "a word of the standby that is ahead")
    assert world.seen(ahead) == world.rows
    wait_until(lambda: receiver_of(behind) == f"streaming|{world.h3.address}|5433|1", 60, "a stream to the other one")
    assert world.seen(behind) == had and world.witness.position() == held

    world.primary.start()
    world.put()
    world.arrives(behind, ahead)
    wait_until(lambda: receiver_of(ahead) == f"streaming|{world.h3.address}|5433|1", 60, "a stream to the one ahead")


def switch_all_stand_at(primary, *standbys):
    """The primary begins a segment and writes nothing into it; the standbys have all before it."""
    writer = primary.psql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'")
    primary.host.run(["kill", "-STOP", writer]).expect(0)  # it writes of running transactions now and then
    primary.psql("SELECT pg_switch_wal()")
    begin = wait_until(lambda: (lsn := primary.psql("SELECT pg_current_wal_flush_lsn()")).endswith("00000") and lsn, 30,
                       "a segment that is full")
    for standby in standbys:
        wait_until(lambda standby=standby: standby.psql("SELECT pg_last_wal_replay_lsn()") == begin, 60,
                   f"a standby at {begin}")
    return begin


def test_standbys_follow_through_two_promotions_and_one_starts_at_the_switch_itself(network, binaries):
    world = World(network, binaries, standbys=3)
    first, second, standby = (world.follow(each) for each in world.standbys)
    world.put()
    world.arrives(first, second, standby)
    switch = switch_all_stand_at(world.primary, first, second, standby)
    standby.stop()
    world.primary.kill()

    first.psql("SELECT pg_promote()")
    world.witness.streams_from(first)
    world.put(first)
    world.arrives(second)
    assert receiver_of(second) == f"streaming|{world.h3.address}|5433|2"
    assert (world.witness.folder / "00000002.history").read_text().split()[1] == switch
    standby.start()
    world.arrives(standby)
    assert "primary server contains no more WAL on requested timeline 1" in standby.log()

    first.kill()
    told = second.host.standfast("standby", "promote", "-D", second.data, "--pg-bin", binaries, "--witness",
                                 f"host={world.h3.address} port=5433", timeout=90).expect(0)
    assert "is a witness, which does not say whether the primary still runs" in told.out
    world.witness.streams_from(second)
    world.put(second, rows=3000)
    world.arrives(standby)
    assert receiver_of(standby) == f"streaming|{world.h3.address}|5433|3"
    world.witness.stop()
    assert assert_same_segments(second, world.witness.folder, timeline=3) > 0
    world.h3.standfast("wal", "verify", "-D", world.witness.folder).expect(0)


def feedback(world):
    return world.primary.psql(f"SELECT xmin FROM pg_replication_slots WHERE slot_name = '{NAME}'")


@pytest.mark.quick
def test_four_standbys_are_one_connection_and_the_oldest_feedback_goes_to_the_primary(network):
    world = World(network, standbys=4)
    for standby in world.standbys:
        world.follow(standby, hot_standby_feedback="on", max_standby_streaming_delay="0")
    world.put()
    world.arrives(*world.standbys)
    assert world.primary.psql("SELECT string_agg(application_name, ' ') FROM pg_stat_replication") == NAME

    # A query on one of them needs rows that the primary would remove: without feedback it would be cancelled at once.
    reader = world.standbys[1]
    query = world.h2.start([DEBIAN.program("psql"), "-Xq", "-h", "/tmp", "-p", reader.port, "-U", "postgres", "-c",
                            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t; SELECT pg_sleep(600)"])
    held = wait_until(lambda: reader.psql("SELECT backend_xmin FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), 60,
                      "a query with a snapshot")
    wait_until(lambda: feedback(world) == held, 60, "the snapshot at the primary")
    world.primary.psql("DELETE FROM t")
    world.rows = 0
    world.primary.psql("VACUUM t")
    for _ in range(5):
        world.put()
    world.arrives(*world.standbys)
    assert query.alive and feedback(world) == held
    reader.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    query.wait()
    wait_until(lambda: int(feedback(world)) > int(held), 60, "newer feedback")

    for standby in world.standbys[:2]:
        standby.configure(hot_standby_feedback="off").reload()
    world.standbys[2].stop()
    assert feedback(world) != ""
    world.standbys[3].stop()
    wait_until(lambda: feedback(world) == "", 60, "no feedback any more")
    for standby in world.standbys[:2]:
        assert receiver_of(standby).startswith("streaming")
    world.witness.stop()
