"""A copy is equal to its source, whatever happened while it was made: by rows, by amcheck and by blocks, when all has been
replayed. harness/turmoil.py is what happens, harness/equality.py is the proof."""

import random
import signal

import pytest

from harness import turmoil
from harness.binaries import DEBIAN, npm
from harness.cluster import Cluster
from harness.copies import held_still, written
from harness.equality import assert_equal
from harness.members import member_pair, member_primary, promote
from harness.steps import carry_token, pg_bin
from harness.turmoil import Turmoil
from harness.waiting import wait_until

KINDS = {"heap", "btree", "hash", "gin", "gist", "spgist", "brin", "sequence", "visibility map"}
SLOWLY = ("-r", "12M")
MORE_SLOWLY = ("-r", "4M")
SOME = 8 << 20
OLD_SLOT = "old1"


@pytest.fixture(params=[12, 15, 18])
def binaries(request):
    return DEBIAN if request.param == DEBIAN.major else npm(request.param)


@pytest.fixture
def hosts(pair):
    for host in pair:
        turmoil.give_places(host)
    return pair


def start_join(h1, h2, binaries, rate=SLOWLY):
    command = ["join", "-D", h2.data, "--token-file", carry_token(h1, h2), "--listen", "*", *pg_bin(binaries), *rate]
    return h2.start(h2.standfast_command(*command))


def when(condition, running, what):
    wait_until(lambda: condition() or not running.alive, 120, what)
    assert running.alive, running.wait()


def see_all(running, load):
    """A copy that has begun is held still until all has happened to its source."""
    with held_still(running):
        load.wait_for_each(load.turns())


def proved(primary, standby):
    print(primary.psql("SELECT oid, datname FROM pg_database ORDER BY 1"))
    result = assert_equal(primary, standby)
    print(result)
    assert result.kinds.keys() >= KINDS and result.blocks > 5000 and result.masked["heap"] > 50, result


def first_copy(hosts, binaries, **settings):
    h1, h2 = hosts
    primary = member_primary(h1, h2, turmoil.prepare, binaries, autovacuum_naptime=1, wal_sender_timeout=0,
                             **settings)
    load = Turmoil(primary)
    running = start_join(h1, h2, binaries)
    when(lambda: written(h2) > SOME, running, "some of the copy")
    see_all(running, load)
    if "wal_consistency_checking" in settings:  # so much WAL that a standby would not catch up
        load.stop()
    running.wait(200).expect(0)
    if "wal_consistency_checking" not in settings:
        load.stop()
    return primary, Cluster(h2, binaries)


def test_first_copy(hosts, binaries):
    proved(*first_copy(hosts, binaries))


def test_replay_of_a_first_copy_is_consistent(hosts):
    """The standby looks at each page when a record has been replayed, and ends when it is not the primary's."""
    primary, standby = first_copy(hosts, DEBIAN, wal_consistency_checking="all")
    assert primary.psql("SHOW wal_consistency_checking") == "all"
    proved(primary, standby)
    assert "inconsistent page" not in (standby.data / "log" / "standfast-start.log").read_text()


def test_copy_that_was_killed_and_went_on(hosts, binaries):
    h1, h2 = hosts
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    primary = member_primary(h1, h2, turmoil.prepare, binaries, autovacuum_naptime=1)
    whole = int(primary.psql("SELECT sum(pg_database_size(oid)) FROM pg_database"))
    load = Turmoil(primary)
    running = start_join(h1, h2, binaries, MORE_SLOWLY)  # what is left of it takes longer than to see that
    end = random.Random(seed).uniform(0.1, 0.9) * whole
    when(lambda: written(h2) > end, running, "the moment to kill it")
    running.signal(signal.SIGKILL)
    running.wait()
    load.wait_for_each(load.turns())
    done = start_join(h1, h2, binaries).wait(200).expect(0)
    assert "going on with the copy" in done.out + done.err
    load.stop()
    proved(primary, Cluster(h2, binaries))


def test_database_that_was_moved_meanwhile(hosts):
    """What PostgreSQL would replay as an empty one."""
    h1, h2 = hosts
    primary = member_primary(h1, h2, turmoil.prepare, DEBIAN, wal_sender_timeout=0)  # who is held still says nothing
    running = start_join(h1, h2, DEBIAN)
    when(lambda: written(h2) > SOME, running, "some of the copy")
    with held_still(running):
        primary.psql("ALTER DATABASE elsewhere SET TABLESPACE here")
    ended = running.wait(120).expect_error(10, "was moved to another tablespace", "SET TABLESPACE")
    assert "the unfinished copy stays" in ended.err and not h2.data.exists()
    start_join(h1, h2, DEBIAN).wait(120).expect(0)
    assert_equal(primary, Cluster(h2, DEBIAN))


def test_rejoin_after_a_failover(hosts, binaries):
    old, new = member_pair(*hosts, turmoil.prepare, binaries, wal_sender_timeout=0)
    load = Turmoil(old)
    promote(new)
    load.wait_for_each(load.turns())
    old.kill()
    load.forget()
    load = Turmoil(new)
    running = old.host.start(old.host.standfast_command(
        "standby", "rejoin", "-h", new.host.address, "-U", "postgres", "-D", old.data, "-c", "fast", "-C", "-S", OLD_SLOT,
        "--discard-diverged", *SLOWLY))
    when(lambda: not (old.data / "global" / "pg_control").exists(), running, "the first change")
    see_all(running, load)
    running.wait(200).expect(0)
    load.stop()
    proved(new, old.start())
