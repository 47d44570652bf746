"""A copy that comes through the source's agent: whole, checked where it arrives, and gone on with after whatever ended
the run before."""

import random
import signal
import time

import pytest

from harness import steps
from harness.binaries import DEBIAN, npm
from harness.clones import JOURNAL, staging, verify_backup
from harness.cluster import Cluster
from harness.copies import (AT_A_CRAWL, CREATED, SLOWLY, arguments, clone, proved, source_and_member, start_clone,
                            wait_until_free, wait_until_written, without_the_last_wal, written)
from harness.equality import assert_equal
from harness.members import fill_and_freeze
from harness.waiting import wait_until

MEGABYTES = 40


@pytest.fixture
def servers(pair):
    return source_and_member(*pair, fill_and_freeze)


def slots(primary):
    return {row["slot_name"] for row in primary.rows("SELECT slot_name FROM pg_replication_slots")}


def kill_at(servers, running, share, whole):
    host = servers[1].host
    wait_until(lambda: not running.alive or written(host) >= share * whole, 120, f"{share:.0%} of the copy")
    running.signal(signal.SIGKILL)
    running.wait()


@pytest.mark.parametrize("major", [12, 15, 18])
def test_clone_comes_whole_with_a_manifest(pair, major):
    servers = source_and_member(*pair, fill_and_freeze, binaries=DEBIAN if major == 15 else npm(major))
    primary, standby = servers
    done = clone(servers, *CREATED, "-j", "3", "--output", "json").expect(0).json()
    through = done["agent"]
    assert through["streams"] == 3 and through["pages_checked"] and through["manifest_written"] == (major >= 13)
    assert through["equal_bytes"] == 0 and through["fetched_bytes"] > MEGABYTES << 20
    assert staging(standby.host) == []
    proved(servers)


def test_auto_takes_the_agent_and_else_the_protocol(servers):
    primary, standby = servers
    planned = standby.host.standfast(*[a for a in arguments(servers, "--dry-run") if a not in ("--from", "agent")])
    assert "would copy through the agent of member" in planned.expect(0).out
    primary.host.standfast("agent", "--stop", "-D", primary.data).expect(0)
    told = [a for a in arguments(servers) if a not in ("--from", "agent")]
    done = standby.host.standfast(*told, timeout=120).expect(0)
    assert "does not go through an agent" in done.err and "came" not in done.out
    standby.host.run(["rm", "-rf", standby.data]).expect(0)
    clone(servers).expect_error(6, "agent")
    assert staging(standby.host) == []


def test_killed_near_its_end_it_moves_what_was_missing(servers):
    primary, standby = servers
    whole = clone(servers, *CREATED, "--output", "json").expect(0).json()["agent"]["fetched_bytes"]
    standby.host.run(["rm", "-rf", standby.data]).expect(0)
    wait_until_free(primary)
    primary.psql("SELECT pg_drop_replication_slot('mine')")
    running = start_clone(servers, *CREATED, *SLOWLY)
    with without_the_last_wal(primary, running):  # the last tenth alone would soon be there
        kill_at(servers, running, 0.9, whole)
    assert "mine" in slots(primary) and JOURNAL in staging(standby.host) and not standby.data.exists()
    again = clone(servers, *CREATED, "--output", "json").expect(0)
    assert "going on with the copy" in again.err + again.out
    through = again.json()["agent"]
    assert through["fetched_bytes"] <= 0.12 * whole, through
    assert staging(standby.host) == []
    proved(servers)


def test_whatever_moment_it_is_killed_in_the_copy_comes_to_be_the_source(servers):
    primary, standby = servers
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    port, folder = primary.host.server_socket(primary.data)
    load = primary.host.start([DEBIAN.program("psql"), "-Xq", "-h", folder, "-p", port, "-d", "postgres", "-c",
                               "DO $$ BEGIN FOR n IN 1..1000000 LOOP UPDATE filler SET t = n || t WHERE i = 1 + n % 40000; "
                               "COMMIT; PERFORM pg_sleep(0.002); END LOOP; END $$"])
    kills = 0
    while kills < 30:
        running = start_clone(servers, *CREATED, "-r", "40M")
        time.sleep(dice.uniform(0.05, 1.5))  # any moment will do
        if running.alive:
            running.signal(signal.SIGKILL)
            kills += 1
        running.wait()
        if standby.data.exists() and staging(standby.host) == []:  # it was faster than its kill: another one
            verify_backup(standby.host)
            standby.host.run(["rm", "-rf", standby.data]).expect(0)
            wait_until_free(primary)
            primary.psql("SELECT pg_drop_replication_slot('mine')")
    if not standby.data.exists():
        clone(servers, *CREATED).expect(0)
    primary.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %'")
    load.wait()
    proved(servers)
    assert assert_equal(primary, standby).blocks > MEGABYTES * 128


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_stays_and_can_be_given_up(servers, number):
    primary, standby = servers
    running = start_clone(servers, *CREATED, *AT_A_CRAWL)
    wait_until_written(running, standby.host, 4 << 20)
    clone(servers, *CREATED).expect_error(20, "another run is at work")
    running.signal(number)
    ended = running.wait(60).expect(4)
    assert "the unfinished copy stays in" in ended.err and "--abandon" in ended.err
    assert "mine" in slots(primary)
    told = [a for a in arguments(servers) if a not in ("--from", "agent")]
    standby.host.standfast(*told, "--from", "protocol").expect_error(9, "an unfinished copy", "--abandon")
    give_up = ["standby", "clone", "--abandon", "-D", standby.data]
    assert "would drop replication slot" in standby.host.standfast(*give_up, "--dry-run").expect(0).out
    assert "mine" in slots(primary)
    standby.host.standfast(*give_up).expect(0)
    assert staging(standby.host) == [] and "mine" not in slots(primary)
    assert "no unfinished copy" in standby.host.standfast(*give_up).expect(0).out


def test_damaged_page_at_the_source_is_named(servers):
    primary, standby = servers
    path = primary.data / primary.psql("SELECT pg_relation_filepath('filler')")
    primary.stop()
    content = bytearray(path.read_bytes())
    content[3 * 8192 + 4000] ^= 0x10
    path.write_bytes(bytes(content))
    primary.start()
    name = str(path.relative_to(primary.data))
    refused = clone(servers, *CREATED).expect_error(14, f'file "{name}" block 3', "--allow-damage")
    assert "1 damaged page" in refused.err and not standby.data.exists()
    done = clone(servers, *CREATED, "--allow-damage", "--output", "json").expect(0).json()
    assert done["agent"]["damaged_pages"] == 1 and done["agent"]["damaged"][0]["block"] == 3
    assert done["agent"]["equal_bytes"] > MEGABYTES << 20
    verify_backup(standby.host)


def test_join_that_was_interrupted_can_be_given_up_and_one_that_was_killed_goes_on(pair):
    h1, h2 = pair
    primary = Cluster(h1, DEBIAN).init("-k").configure(listen_addresses="'*'")
    primary.start()
    fill_and_freeze(primary)
    h1.standfast("primary", "setup", "-D", h1.data, "--standby", h2.address, "--agent", "--restart",
                 timeout=120).expect(0)
    token = steps.carry_token(h1, h2)
    joining = ["join", "-D", h2.data, "--token-file", token, "--listen", "*"]

    def ended_by(number, count):
        running = h2.start(h2.standfast_command(*joining, "-r", "4M"))
        wait_until_written(running, h2, count)
        running.signal(number)
        return running.wait(60)

    # Interrupted in order its login stays with it, by which alone its source can be asked.
    ended_by(signal.SIGINT, 1 << 20).expect(4)
    login = [h1.psql("SELECT system_identifier FROM pg_control_system()") + f"/{steps.SLOT}.{end}"
             for end in ("crt", "pgpass")]
    assert all((h2.secrets / name).exists() for name in login if name.endswith("pgpass"))
    _, record = unfinished(h2)
    assert record["slot"]["held_bytes"] is not None and not record["slot"]["made_by_it"], record
    h2.standfast("standby", "clone", "--abandon", "-D", h2.data).expect(0)
    assert not [name for name in login if (h2.secrets / name).exists()] and staging(h2) == []

    ended_by(signal.SIGKILL, 20 << 20)
    done = h2.standfast(*joining, "--output", "json", timeout=120).expect(0).json()
    assert done["copy"]["agent"]["equal_bytes"] > 10 << 20, done
    steps.assert_replicates(h1, h2)
    steps.assert_nothing_lies_around(h2)


def test_wal_that_the_slot_loses_is_told_of_and_the_copy_goes_on(servers):
    primary, standby = servers
    primary.psql("ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'")
    primary.psql("SELECT pg_reload_conf()")
    # The WAL comes more slowly than any server writes it, and the files, which the link would pack, more slowly still.
    standby.host.network.limit_rate(standby.host, 16)
    running = start_clone(servers, *CREATED, "-r", "512k")
    wait_until_written(running, standby.host, 1 << 20)

    def write_more():
        primary.psql("INSERT INTO filler SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 8000) AS i")

    def said_after_more():
        if primary.psql("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'mine'") != "unreserved":
            write_more()  # and no more than it takes: much of it is a checkpoint's reason
        return "the next checkpoint may remove what the copy needs" in running.err or not running.alive

    def ended_after_more():
        write_more()
        primary.psql("CHECKPOINT")
        return not running.alive

    wait_until(said_after_more, 90, "more WAL than the slot may hold")
    assert running.alive and "max_slot_wal_keep_size is 32 MiB" in running.err
    wait_until(ended_after_more, 90, "the loss of WAL")
    running.wait().expect_error(15, "has lost WAL that the copy needs", "run this again")
    standby.host.network.limit_rate(standby.host, 10000)
    assert "going on with the copy" in clone(servers, *CREATED).expect(0).out
    proved(servers)


def unfinished(host, *options):
    """What `status` on the target's host says of it, by its data directory: the verdict and the only record."""
    told = host.standfast("status", "-D", host.data, "--output", "json", *options).expect(30).json()
    assert told["verdict"] == "not_streaming"
    record, = told["unfinished"]
    return told, record


def test_status_tells_of_a_copy_that_did_not_end(servers):
    primary, standby = servers
    host = standby.host
    host.standfast("status", "-D", standby.data).expect_error(10, "does not exist")
    running = start_clone(servers, *CREATED, *AT_A_CRAWL)
    wait_until_written(running, host, 9 << 20)  # a little of which is the rest of blocks
    told, record = unfinished(host)
    assert record["at_work"] and "is going on" in told["findings"][0]["message"]
    running.signal(signal.SIGKILL)
    running.wait()
    primary.psql("CREATE TABLE meanwhile AS SELECT generate_series(1, 100000) AS i")

    told, record = unfinished(host)
    assert record["kind"] == "copy" and record["next_run"] == "goes_on" and not record["at_work"]
    assert record["data_directory"] == str(standby.data) and record["folders"] == [f"{standby.data}.standfast-staging"]
    assert record["bytes"] > 8 << 20 and primary.host.address in record["source"] and record["begun"].endswith(" UTC")
    assert record["slot"]["name"] == "mine" and record["slot"]["made_by_it"]
    wal = int(primary.psql("SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = 'mine'"))
    assert 1 << 20 < record["slot"]["held_bytes"] <= wal
    hint = told["findings"][0]["hint"]
    assert "Run the same command again" in hint and f"standfast standby clone --abandon -D {standby.data}" in hint
    text = host.standfast("status", "-D", standby.data, user="root").expect(30)
    assert "mine, made by it" in text.out and "of WAL for it" in text.out and "slot holds" in text.out

    # Where it streams from, whose it is cannot be known; what it holds can, and where to ask.
    idle = primary.host.standfast("status", "-D", primary.data).expect(33)
    assert 'slot "mine" is not in use and holds back' in idle.out and "standfast status -D DIR" in idle.out
    # Beside the source the slot is told of once.
    told, record = unfinished(host, "-d", f"host={primary.host.address} user=postgres")
    assert record["slot"]["held_bytes"] > 1 << 20
    assert not [finding for finding in told["findings"] if '"mine" is not in use' in finding["message"]]

    primary.stop()
    told, record = unfinished(host)
    assert record["slot"]["held_bytes"] is None and record["slot"]["why_not_known"]
    primary.start()
    clone(servers, *CREATED).expect(0)
    host.standfast("status", "-D", standby.data).expect(34)  # it does not run yet, and that is all
    proved(servers)
