"""A clone that is interrupted, whatever by, leaves nothing that has to be tidied up by hand, or says what."""

import random
import signal
import time

import pytest

from harness.binaries import DEBIAN
from harness.clones import (JOURNAL, LOCK, assert_streams, clone, clone_arguments, clone_environment, primary_by_hand, slots,
                            staging, start_clone, verify_backup, wait_for_slots, wait_until_copying)
from harness.cluster import Cluster
from harness.copies import wait_until_free
from harness.steps import SLOT
from harness.waiting import wait_until

SEEDS = ("-R", "-X", "stream", "-C", "-S", SLOT)
SLOWLY = ("-r", "1M")
DROP = f"SELECT pg_drop_replication_slot('{SLOT}')"


@pytest.fixture
def primary(pair):
    """Its 23 MB of catalogs are enough: at the rate that SLOWLY gives a copy takes twenty seconds, and none of them has to
    come to its end."""
    return primary_by_hand(pair[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_clone_removes_its_staging_and_its_slot(pair, primary, number):
    h1, h2 = pair
    running = start_clone(h1, h2, *SEEDS, *SLOWLY)
    wait_until_copying(running, h2)
    assert SLOT in slots(primary)
    running.signal(number)
    result = running.wait(60).expect(4)
    assert slots(primary) == {}, result
    assert staging(h2) == [] and not h2.data.exists()
    assert not list(h2.home.rglob("*.pgpass"))
    clone(h1, h2, *SEEDS).expect(0)


def test_ctrl_c_on_a_terminal_ends_the_clone_and_restores_it(pair, primary):
    h1, h2 = pair
    terminal = h2.terminal(h2.standfast_command(*clone_arguments(h1, h2, *SEEDS, "-P", *SLOWLY)),
                           env=clone_environment())
    terminal.expect(r"\d+%")
    terminal.interrupt()
    terminal.finish(60).expect(4)
    assert slots(primary) == {} and staging(h2) == [] and not h2.data.exists()


def test_interrupted_clone_of_root_ends_its_child_too(pair, primary):
    h1, h2 = pair
    running = h2.start(h2.standfast_command(*clone_arguments(h1, h2, *SEEDS, *SLOWLY)), env=clone_environment(),
                       user="root")
    wait_until_copying(running, h2)
    running.signal(signal.SIGINT)
    running.wait(60).expect(4)
    assert slots(primary) == {} and staging(h2) == [] and not h2.data.exists()


def test_run_after_a_killed_one_knows_its_slot_and_removes_its_staging(pair, primary):
    h1, h2 = pair
    running = start_clone(h1, h2, *SEEDS, *SLOWLY)
    left = wait_until_copying(running, h2)
    running.signal(signal.SIGKILL)
    running.wait(60).expect(-9)
    wait_for_slots(primary, {SLOT: ("f", "f")})
    assert staging(h2) == sorted([left, JOURNAL, LOCK])
    clone(h1, h2, *SEEDS).expect(0)
    assert staging(h2) == []
    wait_for_slots(primary, {SLOT: ("f", "f")})
    verify_backup(h2)
    assert_streams(primary, h2)


def test_run_that_is_killed_while_it_makes_its_slot_knows_it_all_the_same(pair, primary):
    """However long its disk takes to keep what it notes."""
    h1, h2 = pair
    slow = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=700000"]
    for reached in (lambda: staging(h2) != [LOCK] and staging(h2), lambda: SLOT in slots(primary)):
        running = h2.start([*slow, *h2.standfast_command(*clone_arguments(h1, h2, *SEEDS, *SLOWLY))],
                           env=clone_environment())
        wait_until(lambda: reached() or not running.alive, 120, "it begins, or has its slot")
        h2.run(["pkill", "-KILL", "-P", running.pid], user="root").expect(0)  # strace lets no signal through to itself
        running.wait()
    clone(h1, h2, *SEEDS).expect(0)
    assert staging(h2) == [] and set(slots(primary)) == {SLOT}


def test_slot_of_someone_else_is_not_taken_for_ones_own(pair, primary):
    h1, h2 = pair
    running = start_clone(h1, h2, "-R", "-C", "-S", "first", *SLOWLY)
    wait_until_copying(running, h2)
    running.signal(signal.SIGKILL)
    running.wait(60)
    primary.psql("SELECT pg_create_physical_replication_slot('second', true)")
    clone(h1, h2, "-R", "-C", "-S", "second").expect_error(15, "second", "exists")
    assert "second" in slots(primary)


def test_two_clones_into_one_directory_do_not_meet(pair, primary):
    h1, h2 = pair
    first = start_clone(h1, h2, *SEEDS, *SLOWLY)
    left = wait_until_copying(first, h2)
    clone(h1, h2, "-R", "-C", "-S", "another").expect_error(20, str(h2.data))
    assert first.alive and staging(h2) == sorted([left, JOURNAL, LOCK]) and set(slots(primary)) == {SLOT}
    first.signal(signal.SIGINT)
    first.wait(60).expect(4)


@pytest.mark.parametrize("disk", [None, "data"])
def test_clones_of_two_containers_into_one_volume_do_not_meet(pair, primary, disk):
    """Neither sees the other's process. The first one is found by its lock, also where it has left no journal yet
    that would name it, and a run that was killed does not hold it any more."""
    h1, h2 = pair
    if disk:
        h2.tmpfs(h2.data, 300)
    container = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    arguments = clone_arguments(h1, h2, "-R", "-C", "-S")
    first = h2.start([*container, *h2.standfast_command(*arguments, "first", *SLOWLY)], env=clone_environment(),
                     user="root")
    wait_until(lambda: "first" in slots(primary), 60, "the slot of the first run")
    for option in ([], ["--dry-run"]):
        second = h2.run([*container, *h2.standfast_command(*arguments, "second", *option)], env=clone_environment(),
                        user="root")
        second.expect_error(20, str(h2.data), "process ", "of host ", "hint: ")
    assert first.alive and set(slots(primary)) == {"first"}
    first.signal(signal.SIGKILL)
    first.wait(60)
    wait_for_slots(primary, {"first": ("f", "f")})
    clone(h1, h2, "-R", "-C", "-S", "second").expect(0)
    assert staging(h2) == [] and not (h2.data / ".standfast").exists()
    wait_for_slots(primary, {"second": ("f", "f")})


def test_primary_killed_on_the_way_leaves_the_statement_that_drops_the_slot(pair, primary):
    h1, h2 = pair
    running = start_clone(h1, h2, *SEEDS, *SLOWLY)
    wait_until_copying(running, h2)
    primary.stop("immediate")
    result = running.wait(120)
    result.expect_error(6, "hint: ")
    assert DROP in result.err
    assert staging(h2) == [JOURNAL] and not h2.data.exists()
    primary.start()
    clone(h1, h2, *SEEDS).expect(0)
    verify_backup(h2)
    assert staging(h2) == []


def test_primary_that_drops_the_connection_but_lives_loses_the_slot(pair, primary):
    h1, h2 = pair
    running = start_clone(h1, h2, *SEEDS, *SLOWLY)
    wait_until_copying(running, h2)
    primary.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE state = 'backup'")
    running.wait(120).expect_error(6, "hint: ")
    wait_for_slots(primary, {})
    assert staging(h2) == [] and not h2.data.exists()


def test_lost_wal_stream_ends_the_clone(pair, primary):
    h1, h2 = pair
    running = start_clone(h1, h2, *SEEDS, *SLOWLY)
    wait_until_copying(running, h2)
    wait_until(lambda: primary.psql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1", 60,
               "the WAL stream")
    primary.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE state = 'streaming'")
    running.wait(120).expect_error(6, "hint: ")
    wait_for_slots(primary, {})
    assert staging(h2) == [] and not h2.data.exists()


def test_link_that_breaks_on_the_way_ends_the_clone_within_a_minute(network, pair, primary):
    h1, h2 = pair
    network.limit_rate(h2, 40)
    running = start_clone(h1, h2, *SEEDS, *SLOWLY)
    wait_until_copying(running, h2)
    network.link_down(h2)
    broken = time.monotonic()
    result = running.wait(150)
    assert result.code in (6, 16), result
    assert time.monotonic() - broken < 75 and DROP in result.err and "hint: " in result.err
    assert staging(h2) == [JOURNAL] and not h2.data.exists()
    network.link_up(h2)
    clone(h1, h2, *SEEDS).expect(0)  # which waits until the server has learnt that the other one is gone
    verify_backup(h2)


def test_killed_run_with_replace_leaves_the_old_directory(pair, primary):
    h1, h2 = pair
    old = Cluster(h2, DEBIAN).init().start()
    old.psql("CREATE TABLE precious AS SELECT 7 AS seven")
    old.stop()
    running = start_clone(h1, h2, *SEEDS, "--replace", *SLOWLY)
    wait_until_copying(running, h2)
    running.signal(signal.SIGKILL)
    running.wait(60)
    assert Cluster(h2, DEBIAN).start().psql("SELECT seven FROM precious") == "7"
    old.stop()
    clone(h1, h2, *SEEDS, "--replace").expect(0)
    (aside,) = staging(h2)
    assert Cluster(h2, DEBIAN, h2.cluster_folder / aside).start().psql("SELECT seven FROM precious") == "7"


def test_killed_at_any_moment_there_is_a_whole_directory_after_the_next_run(pair, primary):
    h1, h2 = pair
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    options = ("-R", "-C", "-S", SLOT, "--replace")
    whole = clone(h1, h2, *options).expect(0).seconds

    for _ in range(6):
        wait_until_free(primary, SLOT)
        primary.psql(DROP)
        running = start_clone(h1, h2, *options)
        time.sleep(whole * dice.uniform(0.1, 1.1))
        running.signal(signal.SIGKILL)
        running.wait(60)
        if h2.data.exists():  # not in the moment between the two renames
            verify_backup(h2)
        wait_until_free(primary, SLOT)
        if SLOT in slots(primary) and "data.standfast-staging" not in staging(h2):
            primary.psql(DROP)  # the copy was in place before the kill, and the slot is the copy's
        clone(h1, h2, *options).expect(0)
        verify_backup(h2)
        left = [name for name in staging(h2) if "standfast-old" not in name]
        assert left == [], left
    for name in staging(h2):
        verify_backup(h2, data=h2.cluster_folder / name)
    assert_streams(primary, h2)
