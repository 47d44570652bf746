"""What goes wrong while a copy comes through an agent: on the way, on the disk that it goes to, and at the source."""

import subprocess

import pytest

from harness.agents import PORT
from harness.clones import staging
from harness.copies import (AT_A_CRAWL, CREATED, SLOWLY, RudeLink, clone, held_still, proved, source_and_member,
                            start_clone, wait_until_free, wait_until_written)
from harness.members import fill_and_freeze
from harness.processes import has_ended
from harness.waiting import wait_until

SOME = 8 << 20
OF_FILES = 512 << 10  # what comes back on a connection that brings files, however well it is packed, and on no other
FETCHED_AGAIN = "and another was opened: what was on its way is fetched again"


@pytest.fixture(scope="module")
def made(shared_network):
    return source_and_member(shared_network.host("h1", "10.20.20.1"), shared_network.host("h2", "10.20.20.2"),
                             fill_and_freeze)


@pytest.fixture
def servers(made):
    yield made
    primary, standby = made
    if not primary.running:
        primary.start()
    if standby.running:
        standby.stop("immediate")
    standby.host.run(["/bin/sh", "-c", f"rm -rf {standby.data}*"]).expect(0)
    wait_until_free(primary)
    primary.psql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'mine'")


@pytest.fixture
def link(servers):
    link = RudeLink(servers, PORT)
    yield link
    link.close()


def start_slowly(servers, *options, rate=SLOWLY):
    """Up to some of the copy, which then has some seconds to go."""
    running = start_clone(servers, *CREATED, "-j", "2", *rate, *options)
    wait_until_written(running, servers[1].host, SOME)
    return running


# ---------------------------------------------------------------- on the way


def test_bytes_that_did_not_come_as_they_were_are_fetched_again(servers, link):
    running = start_clone(servers, *CREATED, "-j", "2", *SLOWLY, *link.options)
    for count, what in enumerate(("flip", "cut"), 1):
        link.tell(what, OF_FILES)
        wait_until(lambda: running.err.count(FETCHED_AGAIN) >= count or not running.alive, 90, what)
        assert link.did(what)
    done = running.wait(120).expect(0)
    assert done.err.count(FETCHED_AGAIN) == 2
    assert "begins anew" not in done.err
    proved(servers)


def test_link_that_falls_silent_is_given_up_for_another(servers, link):
    link.tell("silence", OF_FILES)
    done = start_clone(servers, *CREATED, "-j", "2", *SLOWLY, *link.options).wait(150).expect(0)
    assert link.did("silence") and "a connection to the agent broke (no answer in time)" in done.err
    proved(servers)


def test_backup_that_is_lost_with_its_connection_is_begun_anew(servers, link):
    running = start_slowly(servers, *link.options, "--output", "json")
    with held_still(running):
        link.tell("cut", 1, "1")  # the slot is looked at through it, too
    done = running.wait(120).expect(0).json()
    said = [warning["message"] for warning in done["warnings"]]
    assert any("the copy broke off: the connection that holds the backup broke" in line for line in said), said
    assert done["agent"]["equal_bytes"] > SOME // 2
    proved(servers)


def test_rejoin_that_loses_the_backup_begins_anew(servers, link):
    primary, standby = servers
    clone(servers, *CREATED).expect(0)
    primary.psql("UPDATE filler SET t = 'new' || t", timeout=120)
    host = standby.host
    running = host.start(host.standfast_command("standby", "rejoin", "-h", primary.host.address, "-U", "postgres", "-D",
                                                standby.data, "-c", "fast", "-S", "mine", *link.options, *SLOWLY))
    control = standby.data / "global" / "pg_control"
    wait_until(lambda: not control.exists() or not running.alive, 60, "the first change")
    with held_still(running):
        link.tell("cut", 1, "1")
    done = running.wait(120).expect(0)
    assert link.did("cut") and "the copy broke off: the connection that holds the backup broke" in done.err
    proved(servers)
    primary.psql("VACUUM FULL filler", timeout=120)


# ---------------------------------------------------------------- the disk


def test_disk_that_is_full_is_told_of_and_made_larger(servers):
    primary, standby = servers
    disk = standby.host.tmpfs(standby.host.cluster_folder, 200)
    try:
        running = start_slowly(servers, rate=AT_A_CRAWL)
        filler = disk / "filler"
        standby.host.run(["dd", "if=/dev/zero", f"of={filler}", "bs=1M"])  # until there is no more room
        ended = running.wait(60).expect_error(11, "No space left", "the unfinished copy stays in", "Run this again")
        assert "begins anew" not in ended.err and staging(standby.host)
        clone(servers, *CREATED).expect_error(11, "Free some room")
        subprocess.run(["mount", "-o", "remount,size=600m", str(disk)], check=True)
        done = clone(servers, *CREATED, "--output", "json").expect(0).json()
        assert done["agent"]["equal_bytes"] > SOME // 2
        filler.unlink()
        proved(servers)
        standby.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


# ---------------------------------------------------------------- the source


def make_folder(host, place):
    host.run(["mkdir", "-m", "700", place]).expect(0)


def test_files_that_vanish_and_tablespaces_that_come_are_no_failure(servers):
    primary, standby = servers
    primary.psql("CREATE DATABASE short")
    for database in ("postgres", "short"):
        primary.psql("CREATE TABLE goes AS SELECT repeat('x', 500) AS t FROM generate_series(1, 20000)", database=database)
    primary.psql("CHECKPOINT")
    running = start_slowly(servers)
    with held_still(running):
        primary.psql("DROP TABLE goes")
        primary.psql("DROP DATABASE short")
        for name in ("there", "missing"):
            make_folder(primary.host, f"/tmp/{name}")
            primary.psql(f"CREATE TABLESPACE {name} LOCATION '/tmp/{name}'")
            primary.psql(f"CREATE TABLE lies_{name} TABLESPACE {name} AS SELECT i FROM generate_series(1, 1000) AS i")
        make_folder(standby.host, "/tmp/there")
        primary.psql("CHECKPOINT")  # what was dropped is gone from the disk, too
    done = running.wait(120).expect(0)
    assert "begins anew" not in done.err and 'in "/tmp/there" was made while the copy went on' in done.out
    assert 'in "/tmp/missing" was made while the copy went on, and there is no such folder here' in done.err
    make_folder(standby.host, "/tmp/missing")
    proved(servers)
    for name in ("there", "missing"):
        primary.psql(f"DROP TABLE lies_{name}")
        primary.psql(f"DROP TABLESPACE {name}")


def test_primary_that_is_stopped_ends_the_copy_and_the_next_run_goes_on(servers):
    primary = servers[0]
    running = start_slowly(servers, rate=AT_A_CRAWL)
    primary.stop()
    ended = running.wait(60)
    assert ended.code in (6, 13), ended  # as what broke first tells
    assert "the unfinished copy stays in" in ended.err and "un this again when it is up" in ended.err
    primary.start()
    done = clone(servers, *CREATED, "--output", "json").expect(0).json()
    assert done["agent"]["equal_bytes"] > SOME // 2
    proved(servers)


def kill_agent(server):
    """And starts it again."""
    pids = server.host.run(["pgrep", "-f", f"standfast agent .*{server.data}"]).expect(0).out.split()
    server.host.run(["kill", "-KILL", *pids]).expect(0)
    wait_until(lambda: all(has_ended(pid) for pid in pids), 60, "the end of the agent")  # its lock goes with it
    server.host.standfast("agent", "-D", server.data, "--background").expect(0)


def test_primary_and_agent_that_are_killed_and_come_back_are_no_end(servers):
    primary = servers[0]
    running = start_slowly(servers)
    # It is held still until they are back: how often it has to try would be a matter of how long that takes.
    with held_still(running):
        primary.kill()
        primary.start()
    for times, then in ((1, kill_agent), (2, lambda _: None)):
        wait_until(lambda: not running.alive or running.err.count("the copy broke off") == times
                   and running.out.count("going on with the copy") == times, 60, "the copy begins anew")
        with held_still(running):
            then(primary)
    running.wait(120).expect(0)
    proved(servers)
