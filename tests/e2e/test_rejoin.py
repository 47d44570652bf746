"""`standby rejoin`: an old data directory follows again by what differs, whatever it has been through, and nothing that
it alone has is given up unasked."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.binaries import DEBIAN
from harness.clones import fill, slots, tree, verify_backup
from harness.cluster import Cluster
from harness.copies import held_still
from harness.equality import assert_equal
from harness.members import assert_follows, fill_and_freeze, member_pair, promote
from harness.steps import SLOT
from harness.waiting import wait_until

BLOCK = 8192
SPACES = "/srv/standfast-spaces"  # of each host its own
OLD_SLOT = "old1"
NEW_SLOT = ("-C", "-S", OLD_SLOT)


@pytest.fixture
def servers(pair):
    """What is counted here is what the tests write: nothing else commits, or changes a page, of its own accord."""
    return member_pair(*pair, fill_and_freeze, autovacuum="off")


def change(server, note):
    """Something of each kind: rows here and there, a table more, one less."""
    server.psql(f"UPDATE filler SET t = '{note}' || t WHERE i % 1000 = 7")
    server.psql(f"CREATE TABLE {note} AS SELECT i FROM generate_series(1, 2000) AS i")
    server.psql("CREATE TABLE passing AS SELECT 1 AS i; DROP TABLE passing")


def fail_over(primary, standby, *, apart=True):
    """The standby is promoted while the primary still commits; then that is gone."""
    promote(standby)
    if apart:
        change(primary, "lost")
    primary.kill()
    change(standby, "kept")


def rejoin_arguments(host, source, *options):
    return ["standby", "rejoin", "-h", source.host.address, "-U", "postgres", "-D", host.data, "-c", "fast", *options]


def spread(arguments):
    return ["spread" if argument == "fast" else argument for argument in arguments]


def rejoin(server, source, *options, **how):
    return server.host.standfast(*rejoin_arguments(server.host, source, *options), timeout=120, **how)


def end_of_moves(result):
    found = re.search(r"would move ([\d.]+) (\w+) of", result.out)
    assert found, result
    return found


def test_diverged_primary_is_refused_then_rejoins(servers):
    old, new = servers
    fail_over(old, new)
    before = tree(old.data)
    refused = rejoin(old, new, *NEW_SLOT).expect_error(9, "timeline 1", "timeline 2", "3 transactions",
                                                       "--discard-diverged")
    assert re.search(r"from 0/[0-9A-F]+ on timeline 1 to 0/[0-9A-F]+ ", refused.err), refused
    assert tree(old.data) == before
    assert new.psql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'old1'") == "0"

    done = rejoin(old, new, *NEW_SLOT, "--discard-diverged", "--output", "json").expect(0).json()
    assert done["judgement"]["standing"] == "diverged" and done["judgement"]["lost_transactions"] == 3
    assert done["agent"]["fetched_bytes"] < done["total_bytes"] / 4
    verify_backup(old.host)
    kept = old.data / "pg_wal" / ".standfast"
    assert [name for name in kept.rglob("0000000100000000000000*")], list(kept.rglob("*"))
    assert done["kept"].startswith(str(kept))
    assert_follows(old, new, OLD_SLOT)
    assert "lost" not in new.psql("SELECT relname FROM pg_class").split()


def test_on_each_major(pair, binaries):
    old, new = member_pair(*pair, fill_and_freeze, binaries, autovacuum="off")
    fail_over(old, new)
    rejoin(old, new, *NEW_SLOT).expect_error(9, "3 transactions", "--discard-diverged")
    rejoin(old, new, *NEW_SLOT, "--discard-diverged").expect(0)
    if 13 <= binaries.major <= DEBIAN.major:
        verify_backup(old.host, "--no-parse-wal")  # its WAL reader is of its own major
    assert_follows(old, new, OLD_SLOT)


def test_cleanly_stopped_primary_rejoins_without_leave(servers):
    """All that it had was sent before it stopped."""
    old, new = servers
    old.stop()
    wait_until(lambda: "shut down" in old.log(), 60, "the stop")
    promote(new)
    change(new, "kept")
    done = rejoin(old, new, *NEW_SLOT, "--output", "json").expect(0).json()
    assert done["judgement"]["standing"] == "behind"
    assert_follows(old, new, OLD_SLOT)


def test_standby_that_fell_behind_rejoins_by_its_own_slot(servers):
    primary, standby = servers
    standby.stop()
    change(primary, "kept")
    rejoin(standby, primary, "-S", SLOT).expect(0)
    assert_follows(standby, primary, SLOT)
    standby.stop()
    assert_slot_stays_once_it_is_placed(standby, primary)


def assert_slot_stays_once_it_is_placed(standby, primary):
    """Whatever fails afterwards: here, that the journal cannot be removed."""
    primary.psql("UPDATE filler SET t = 'new' || t WHERE i % 200 = 1")
    running = standby.host.start(standby.host.standfast_command(
        *rejoin_arguments(standby.host, primary, *NEW_SLOT, "-r", "512k")))
    journal = standby.data / ".standfast" / "rejoin.json"
    wait_until(lambda: not running.alive or journal.exists() and '"wal_is_out": true' in journal.read_text(), 60,
               "the last change of the journal")
    with held_still(running):
        journal.parent.chmod(0o500)
    running.wait(120).expect_error(5, str(journal))
    assert OLD_SLOT in slots(primary)
    journal.parent.chmod(0o700)
    assert_follows(standby, primary, OLD_SLOT)
    told = standby.host.standfast("status", "-D", standby.data, "--output", "json").expect(0).json()
    assert told["unfinished"] == []


def test_source_that_is_behind_is_always_refused(servers):
    primary, standby = servers
    standby.psql("ALTER SYSTEM SET primary_conninfo = ''")
    standby.reload()
    wait_until(lambda: standby.psql("SELECT count(*) FROM pg_stat_wal_receiver") == "0", 60, "no stream")
    change(primary, "ahead")
    primary.kill()
    before = tree(primary.data)
    for options in ((), ("--discard-diverged",)):
        rejoin(primary, standby, *options).expect_error(9, "so far", "timeline 1", "is behind")
    assert tree(primary.data) == before


def test_another_clusters_directory_is_refused(servers, network):
    _, source = servers
    other = Cluster(source.host, DEBIAN, source.host.folder / "pg" / "other", port=5499).init("-k")
    before = tree(other.data)
    source.host.standfast("standby", "rejoin", "-h", source.host.address, "-U", "postgres", "-D", other.data, "-c",
                          "fast").expect_error(9, "another cluster", "system identifier")
    assert tree(other.data) == before


def test_source_itself_and_running_servers_are_refused(servers):
    primary, standby = servers
    rejoin(primary, primary, "--stop").expect_error(9, "source's own")
    assert primary.running
    rejoin(standby, primary, "-S", SLOT).expect_error(20, "is running", "--stop")
    rejoin(standby, primary, "-S", SLOT, "--stop").expect(0)
    assert not standby.running
    assert_follows(standby, primary, SLOT)
    assert_snapshot_elsewhere_is_not_the_source(primary, standby)


def assert_snapshot_elsewhere_is_not_the_source(primary, standby):
    """Whether a server has written in it by itself nothing tells, so it takes leave to give that up."""
    snapshot = standby.host.folder / "pg" / "snapshot"
    primary.psql("CHECKPOINT")
    subprocess.run(["cp", "-a", primary.data, snapshot], timeout=180, stderr=subprocess.DEVNULL)  # with what passes meanwhile
    before = tree(snapshot)
    arguments = ["standby", "rejoin", "-h", primary.host.address, "-U", "postgres", "-D", snapshot, "-c", "fast"]
    standby.host.standfast(*arguments).expect_error(9, "timeline 1", "cannot be told", "--discard-diverged")
    assert tree(snapshot) == before
    done = standby.host.standfast(*arguments, "--discard-diverged", "--output", "json").expect(0).json()
    assert done["judgement"]["standing"] == "behind" and (snapshot / "standby.signal").exists()
    assert done["agent"]["fetched_bytes"] < done["total_bytes"] / 4


def test_server_that_is_started_while_the_source_makes_its_checkpoint_is_left_alone(servers):
    primary, standby = servers
    standby.stop()
    primary.psql("UPDATE filler SET t = 'new' || t", timeout=120)  # a checkpoint has something to spread
    running = standby.host.start(standby.host.standfast_command(*spread(rejoin_arguments(standby.host, primary, "-S", SLOT))))
    wait_until(lambda: "next checkpoint to complete" in running.out + running.err, 60, "the wait for it")
    standby.start()
    primary.psql("CHECKPOINT", timeout=120)
    running.wait(120).expect_error(20, "is running", "--stop")
    assert standby.running
    standby.stop()
    assert_follows(standby, primary, SLOT)


def test_dry_run_changes_nothing_and_says_what_is_moved(servers):
    old, new = servers
    fail_over(old, new)
    before = tree(old.data)
    planned = rejoin(old, new, "--dry-run", "--discard-diverged", "--output", "json").expect(0).json()
    text = rejoin(old, new, "--dry-run", "--discard-diverged").expect(0)
    assert end_of_moves(text)
    assert tree(old.data) == before
    assert new.psql("SELECT count(*) FROM pg_replication_slots") == "0"
    done = rejoin(old, new, *NEW_SLOT, "--discard-diverged", "--output", "json").expect(0).json()
    moved = done["agent"]["fetched_bytes"]
    assert abs(planned["moved_bytes"] - moved) < max(moved // 5, 1 << 20), (planned, done)
    assert planned["moved_bytes"] < planned["total_bytes"] / 4
    assert_follows(old, new, OLD_SLOT)


def killed_after(running, seconds):
    """False: it had ended before."""
    end = time.monotonic() + seconds
    wait_until(lambda: not running.alive or time.monotonic() >= end, seconds + 20, "the time to kill it")
    running.signal(signal.SIGKILL)
    return running.wait(60).code == -signal.SIGKILL


def test_killed_anywhere_it_goes_on(servers):
    old, new = servers
    fail_over(old, new)
    new.psql("UPDATE filler SET t = 'new' || t WHERE i % 4 = 1")
    old_control = (old.data / "global" / "pg_control").read_bytes()
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    killed = 0
    for _ in range(10):
        running = old.host.start(old.host.standfast_command(
            *rejoin_arguments(old.host, new, *NEW_SLOT, "--discard-diverged", "-r", "1M")))
        if not killed_after(running, chance.uniform(0.02, 3)):
            assert running.wait().code == 0, running.err
            break
        killed += 1
        # No server starts from what is neither the one nor the other.
        control = old.data / "global" / "pg_control"
        is_placed = (old.data / "backup_manifest").exists()
        assert not control.exists() or control.read_bytes() == old_control or is_placed
    assert killed >= 5
    rejoin(old, new, *NEW_SLOT, "--discard-diverged").expect(0)
    assert not (old.data / ".standfast" / "rejoin.json").exists()
    verify_backup(old.host)
    assert_follows(old, new, OLD_SLOT)
    assert_equal(new, old)


def test_status_tells_of_a_rejoin_that_did_not_end(servers):
    old, new = servers
    fail_over(old, new)
    new.psql("UPDATE filler SET t = 'new' || t WHERE i % 4 = 1")
    running = old.host.start(old.host.standfast_command(
        *rejoin_arguments(old.host, new, *NEW_SLOT, "--discard-diverged", "-r", "1M")))
    wait_until(lambda: not running.alive or not (old.data / "global" / "pg_control").exists(), 60, "the first change")
    running.signal(signal.SIGKILL)
    running.wait(60).expect(-signal.SIGKILL)
    told = old.host.standfast("status", "-D", old.data, "--output", "json").expect(30).json()
    record, = told["unfinished"]
    assert record["kind"] == "rejoin" and record["in_pieces"] and record["begun"]
    assert record["slot"]["name"] == OLD_SLOT and record["slot"]["made_by_it"] and record["slot"]["held_bytes"] > 0
    assert len(told["findings"]) == 1 and "no server starts from it" in told["findings"][0]["message"]
    assert_copy_takes_its_place(old, new)


def assert_copy_takes_its_place(old, new):
    """Given up it cannot be any more; a copy leaves nothing of it, nor its slot at the source."""
    before = tree(old.data)
    for options in ((), ("--dry-run",)):
        old.host.standfast("standby", "clone", "--abandon", "-D", old.data, *options).expect_error(
            9, "has begun", f'"{OLD_SLOT}"', "Run it again", "--replace")
    assert tree(old.data) == before and OLD_SLOT in slots(new)
    copy = ["standby", "clone", *rejoin_arguments(old.host, new, "-R", "--replace")[2:]]
    assert f'drop replication slot "{OLD_SLOT}"' in old.host.standfast(*copy, "--dry-run").expect(0).out
    assert OLD_SLOT in slots(new)
    old.host.standfast(*copy, timeout=120).expect(0)
    assert OLD_SLOT not in slots(new)
    assert_follows(old, new, "")
    assert old.host.standfast("status", "-D", old.data, "--output", "json").expect(0).json()["unfinished"] == []


def start_and_wait_for_its_slot(old, new):
    """A rejoin that waits for the source's checkpoint, and has changed nothing but that it has a slot."""
    arguments = [argument for argument in rejoin_arguments(old.host, new, *NEW_SLOT, "--discard-diverged")
                 if argument not in ("-c", "fast")]
    running = old.host.start(old.host.standfast_command(*arguments))
    wait_until(lambda: not running.alive or OLD_SLOT in slots(new), 60, "the slot")
    assert running.alive
    return running


def test_slot_of_a_rejoin_that_has_changed_nothing_is_not_left(servers):
    old, new = servers
    fail_over(old, new)
    new.psql("UPDATE filler SET t = 'new' || t", timeout=120)  # so that the checkpoint takes its time
    before = tree(old.data)

    running = start_and_wait_for_its_slot(old, new)
    running.signal(signal.SIGINT)
    running.wait(60).expect(4)
    assert tree(old.data) == before and OLD_SLOT not in slots(new)

    def kill():
        running = start_and_wait_for_its_slot(old, new)
        running.signal(signal.SIGKILL)
        running.wait(60)

    kill()
    assert OLD_SLOT in slots(new) and (old.data / "global" / "pg_control").exists()
    told = old.host.standfast("status", "-D", old.data, "--output", "json").expect(34).json()
    assert not told["unfinished"][0]["in_pieces"] and told["unfinished"][0]["slot"]["made_by_it"]
    assert any("--abandon" in finding["hint"] for finding in told["findings"])
    give_up = ["standby", "clone", "--abandon", "-D", old.data]
    assert "would drop replication slot" in old.host.standfast(*give_up, "--dry-run").expect(0).out
    old.host.standfast(*give_up).expect(0)
    old.host.run(["rm", "-f", f"{old.data}.standfast-lock"])
    assert tree(old.data) == before and OLD_SLOT not in slots(new)

    kill()
    done = rejoin(old, new, *NEW_SLOT, "--discard-diverged").expect(0)
    assert "created replication slot" in done.out
    assert_follows(old, new, OLD_SLOT)
    # A slot of that name that is there is nobody's to go on with.
    rejoin(old, new, *NEW_SLOT, "--stop").expect_error(15, "already exists")
    assert old.data.exists() and not (old.data / ".standfast").exists()


def test_disk_without_room_is_told_of_before_anything_is_changed(pair):
    disk = pair[0].tmpfs(pair[0].cluster_folder, 600)
    old, new = member_pair(*pair, fill_and_freeze, autovacuum="off")
    fail_over(old, new)
    fill(new, 60, "more")
    reserve = 4 * 16 << 20  # what is kept free for WAL
    filler = disk / "other.log"
    free = os.statvfs(disk)
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - reserve - (30 << 20))
    before = tree(old.data)
    for options in (("--dry-run",), NEW_SLOT):
        rejoin(old, new, *options, "--discard-diverged").expect_error(11, "the rejoin needs", str(disk), "free",
                                                                      "Make room there")
    assert tree(old.data) == before and OLD_SLOT not in slots(new)
    filler.unlink()
    need, = rejoin(old, new, "--dry-run", "--discard-diverged", "--output", "json").expect(0).json()["disks"]
    assert reserve + (55 << 20) < need["needed_bytes"] < need["available_bytes"]
    rejoin(old, new, *NEW_SLOT, "--discard-diverged").expect(0)
    assert_follows(old, new, OLD_SLOT)


def make_spaces(primary):
    for name in ("stays", "goes"):
        primary.host.run(["mkdir", f"{SPACES}/{name}"]).expect(0)
        primary.psql(f"CREATE TABLESPACE {name} LOCATION '{SPACES}/{name}'")
        primary.psql(f"CREATE TABLE in_{name} TABLESPACE {name} AS SELECT i FROM generate_series(1, 20000) AS i")
    fill_and_freeze(primary)


def test_tablespaces_stay_come_and_go(pair):
    for host in pair:
        shutil.chown(host.bind(SPACES), "postgres")
    old, new = member_pair(*pair, make_spaces, autovacuum="off")
    fail_over(old, new)
    new.psql("DROP TABLE in_goes")
    new.psql("DROP TABLESPACE goes")
    new.host.run(["mkdir", f"{SPACES}/comes"]).expect(0)
    new.psql(f"CREATE TABLESPACE comes LOCATION '{SPACES}/comes'")
    new.psql("CREATE TABLE in_comes TABLESPACE comes AS SELECT i FROM generate_series(1, 20000) AS i")
    new.psql("UPDATE in_stays SET i = i + 1 WHERE i < 100")
    done = rejoin(old, new, *NEW_SLOT, "--discard-diverged").expect(0)
    assert f"{SPACES}/goes" in done.err, done
    verify_backup(old.host)
    assert_follows(old, new, OLD_SLOT)
    assert sorted(os.readlink(link) for link in (old.data / "pg_tblspc").iterdir()) == [f"{SPACES}/comes", f"{SPACES}/stays"]


def test_configuration_and_its_links_are_kept(servers):
    old, new = servers
    fail_over(old, new)
    (old.data / "postgresql.conf").write_text((old.data / "postgresql.conf").read_text() + "# the old one's\n")
    done = rejoin(old, new, *NEW_SLOT, "--discard-diverged", "--output", "json").expect(0).json()
    assert "# the old one's" not in (old.data / "postgresql.conf").read_text()
    assert "# the old one's" in (Path(done["kept"]) / "postgresql.conf").read_text()
    assert not (old.data / ".standfast").exists()


def test_pg_wal_elsewhere_stays_there(servers):
    old, new = servers
    fail_over(old, new)
    elsewhere = old.host.folder / "wal"
    old.host.run(["mv", old.data / "pg_wal", elsewhere], user="root").expect(0)
    old.host.run(["ln", "-s", elsewhere, old.data / "pg_wal"]).expect(0)
    rejoin(old, new, *NEW_SLOT, "--discard-diverged").expect(0)
    assert (old.data / "pg_wal").is_symlink() and list((elsewhere / ".standfast").rglob("0000000100000000000000*"))
    assert_follows(old, new, OLD_SLOT)
