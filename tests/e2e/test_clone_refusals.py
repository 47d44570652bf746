"""Everything that `standby clone` refuses: each with its exit code, what it says, the way out it names, and that
nothing was changed on either host."""

import itertools
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from harness import old_server, sweep
from harness.binaries import DEBIAN
from harness.clones import (JOURNAL, PASSWORD, clone, clone_arguments, clone_environment, fill, primary_by_hand, slots, staging,
                            start_clone, tree, verify_backup, wait_for_slots, wait_until_copying)
from harness.cluster import Cluster
from harness.copies import held_still
from harness.network import Network
from harness.steps import SLOT
from harness.waiting import wait_until


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One primary for all refusals of a run: none of them may change it."""
    network = Network(tmp_path_factory.mktemp("refusals") / "log")
    try:
        h1 = network.host("h1", "10.20.20.1")
        primary = primary_by_hand(h1)
        primary.psql(f"CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'")
        primary.psql("SELECT pg_create_physical_replication_slot('taken')")
        (h1.data / "pg_hba.conf").write_text((h1.data / "pg_hba.conf").read_text()
                                             + "host replication plain samenet scram-sha-256\n")
        primary.reload()
        yield network, h1, primary
    finally:
        network.close()


@dataclass
class Refusal:
    """What is asked for on a host, why it must not be, and what has to be said. `prepare` may return options."""

    code: int
    says: list
    hint: str
    options: list = field(default_factory=list)
    prepare: object = None
    password: str = PASSWORD
    on_primary: bool = False


def full_directory(host, primary):
    host.run(["sh", "-c", f"mkdir -m 700 {host.data}; echo precious > {host.data}/notes"]).expect(0)


def foreign_cluster(host, primary):
    Cluster(host, DEBIAN).init()


def running_cluster(host, primary):
    Cluster(host, DEBIAN).init().quiet().start()


def directory_of_root(host, primary):
    host.run(["mkdir", "-m", "755", host.data], user="root").expect(0)


def parent_of_root(host, primary):
    shutil.chown(host.cluster_folder, "root", "root")


def link_to_nowhere(host, primary):
    host.run(["ln", "-s", f"{host.home}/nowhere", host.data]).expect(0)


def plain_file(host, primary):
    host.run(["touch", host.data]).expect(0)


def occupied_waldir(host, primary):
    host.run(["sh", "-c", "mkdir /tmp/wal; touch /tmp/wal/000000010000000000000001"]).expect(0)


def small_disk(host, primary):
    host.tmpfs(host.cluster_folder, 8)


REFUSALS = {
    "wrong password": Refusal(7, ["password authentication failed", "replicator"], "", password="wrong"),
    "no hba line": Refusal(7, ["pg_hba.conf", "nobody"], "pg_hba.conf", ["-U", "nobody"]),
    "role without REPLICATION": Refusal(7, ["replication role"], "REPLICATION", ["-U", "plain"]),
    "nobody listens": Refusal(6, ["10.20.20.1", "54321"], "", ["-p", "54321"]),
    "no such host": Refusal(6, ["nowhere.invalid"], "", ["-h", "nowhere.invalid"]),
    "target not empty": Refusal(9, ["{data}"], "empty", prepare=full_directory),
    "target not empty and no data directory, with --replace": Refusal(9, ["{data}", "PG_VERSION"], "", ["--replace"],
                                                                      prepare=full_directory),
    "target is another cluster": Refusal(9, ["{data}"], "--replace", prepare=foreign_cluster),
    "server running there": Refusal(20, ["{data}", "running"], "--stop", ["--replace"], prepare=running_cluster),
    "target is a file": Refusal(9, ["{data}"], "", prepare=plain_file),
    "target is a symbolic link to nowhere": Refusal(9, ["{data}", "symbolic link"], "", prepare=link_to_nowhere),
    "target owned by someone else": Refusal(5, ["{data}", "root"], "", prepare=directory_of_root),
    "parent not writable": Refusal(5, ["{parent}"], "", prepare=parent_of_root),
    "target is the primary's": Refusal(9, ["{data}", "primary"], "", ["--replace", "--stop"], on_primary=True),
    "target inside the source": Refusal(9, ["{data}"], "", ["-D", "{data}/inside"], on_primary=True),
    "waldir inside the target": Refusal(9, ["{data}/wal"], "", ["--waldir", "{data}/wal"]),
    "waldir not empty": Refusal(9, ["/tmp/wal"], "", ["--waldir", "/tmp/wal"], prepare=occupied_waldir),
    "waldir not absolute": Refusal(2, ["absolute"], "", ["--waldir", "wal"]),
    "not enough room": Refusal(11, ["{parent}", "MiB"], "", prepare=small_disk),
    "parent missing": Refusal(9, ["/nowhere"], "", ["-D", "/nowhere/data"]),
    "slot does not exist": Refusal(15, ["missing"], "-C", ["-S", "missing"]),
    "slot exists with -C": Refusal(15, ["taken", "exists"], "-C", ["-C", "-S", "taken"]),
    "-C without -S": Refusal(2, ["-S"], "", ["-C"]),
    "slot without streaming": Refusal(2, ["stream"], "", ["-S", "taken", "-X", "fetch"]),
    "bad slot name": Refusal(2, ["replication slot"], "lower-case", ["-C", "-S", "Not-A-Slot"]),
    "unknown WAL method": Refusal(2, ["some"], "-X", ["-X", "some"]),
    "bad rate": Refusal(2, ["5"], "", ["-r", "5"]),
    "mapping without =": Refusal(2, ["/only"], "", ["-T", "/only"]),
    "mapping not absolute": Refusal(2, ["old"], "", ["-T", "old=new"]),
    "both -w and -W": Refusal(2, ["-W"], "", ["-w", "-W"]),
    "password on the command line": Refusal(2, ["command line"], "-W",
                                            ["-d", f"postgresql://replicator:{quote(PASSWORD)}@10.20.20.1/"]),
    "no target": Refusal(2, ["-D"], "", ["NO -D"]),
}


_addresses = itertools.count(11)


@pytest.mark.parametrize("name", REFUSALS)
def test_refused(world, name):
    network, h1, primary = world
    case, number = REFUSALS[name], next(_addresses)
    host = h1 if case.on_primary else network.host(f"x{number}", f"10.20.20.{number}")
    if case.prepare:
        case.prepare(host, primary)
    words = {"data": host.data, "parent": host.cluster_folder}
    arguments = [str(word).format(**words) for word in clone_arguments(h1, host, *case.options)]
    if "NO -D" in arguments:
        arguments = ["standby", "clone", "-h", h1.address]
    watched = h1.data / "inside" if case.on_primary else host.cluster_folder
    before, slots_before = tree(watched), slots(primary)
    started = primary.psql("SELECT pg_postmaster_start_time()")

    result = host.standfast(*arguments, env=clone_environment(case.password))

    result.expect_error(case.code, *(text.format(**words) for text in case.says))
    assert PASSWORD not in result.err and result.err.count("error: ") <= 1
    hint = result.err.partition("hint: ")[2]
    assert hint and case.hint in hint, f"no way out is named:\n{result}"
    assert tree(watched) == before
    wait_for_slots(primary, slots_before)  # a temporary one ends with its connection
    assert primary.psql("SELECT pg_postmaster_start_time()") == started
    assert not list(host.home.rglob("*.pgpass"))
    if not case.on_primary and (host.data / "postmaster.pid").exists():
        assert host.psql("SELECT 1") == "1"


def test_server_too_old_is_refused(network):
    old, h2 = network.host("old", "10.20.20.1"), network.host("h2", "10.20.20.2")
    program = old.write("old_server.py", Path(old_server.__file__).read_text(), mode=0o644)
    server = old.start([sys.executable, program, 5432])
    wait_until(lambda: "listening" in server.out, 60, "the old server")
    clone(old, h2).expect_error(8, "11", "hint: ")
    assert not h2.data.exists() and staging(h2) == []


def test_slot_in_use_is_refused_and_left_alone(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    primary.psql(f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")
    h1.run(["mkdir", "/tmp/received"]).expect(0)
    h1.start([DEBIAN.program("pg_receivewal"), "-h", h1.address, "-U", "replicator", "-D", "/tmp/received", "-S", SLOT],
             env=clone_environment())
    wait_for_slots(primary, {SLOT: ("f", "t")})
    clone(h1, h2, "-R", "-S", SLOT).expect_error(15, SLOT, "is active", "hint: ")
    assert slots(primary) == {SLOT: ("f", "t")} and not h2.data.exists() and staging(h2) == []


def test_damaged_page_on_the_primary_is_named(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    primary.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
    path = primary.damage_page("t").relative_to(h1.data)
    primary.restart()
    clone(h1, h2, "-C", "-S", SLOT).expect_error(14, str(path), "hint: ")
    assert slots(primary) == {} and not h2.data.exists() and staging(h2) == []
    kept = clone(h1, h2, "-C", "-S", SLOT, "--no-clean").expect_error(14, str(path))
    (left,) = set(staging(h2)) - {JOURNAL}
    assert left in kept.out + kept.err and not h2.data.exists()
    clone(h1, h2, "-k").expect_error(9, left, "--no-clean")
    shutil.rmtree(h2.cluster_folder / left)
    clone(h1, h2, "-k").expect(0)
    assert staging(h2) == []


def test_disk_that_fills_up_on_the_way_is_told(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    fill(primary, 20)
    h2.tmpfs(h2.cluster_folder, 120)
    running = start_clone(h1, h2, "-R", "-C", "-S", SLOT, "-r", "8M")
    wait_until_copying(running, h2)
    with held_still(running):  # lest it be done first
        h2.run(["sh", "-c", f"head -c 200m /dev/zero > {h2.cluster_folder}/other.log"])
    running.wait().expect_error(11, str(h2.cluster_folder), "hint: ")
    assert slots(primary) == {} and not h2.data.exists() and staging(h2) == []


def test_running_server_is_stopped_and_moved_aside_when_both_are_allowed(pair):
    h1, h2 = pair
    primary_by_hand(h1)
    old = Cluster(h2, DEBIAN).init().start()
    old.psql("CREATE TABLE precious AS SELECT 7 AS seven")
    result = clone(h1, h2, "-R", "--replace", "--stop").expect(0)
    (aside,) = staging(h2)
    assert str(h2.cluster_folder / aside) in result.out
    verify_backup(h2)
    again = Cluster(h2, DEBIAN, h2.cluster_folder / aside).start()
    assert again.psql("SELECT seven FROM precious") == "7"


def test_old_directory_stays_when_the_copy_fails(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    old = Cluster(h2, DEBIAN).init().start()
    primary.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
    primary.damage_page("t")
    primary.restart()
    before = old.psql("SELECT pg_postmaster_start_time()")
    clone(h1, h2, "-R", "--replace").expect(20)
    assert old.psql("SELECT pg_postmaster_start_time()") == before
    old.stop()
    files = tree(h2.data)
    clone(h1, h2, "-R", "--replace").expect(14)
    assert tree(h2.data) == files and staging(h2) == []
    Cluster(h2, DEBIAN).start()


def test_server_that_was_stopped_for_a_copy_that_failed_is_named(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    primary.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
    primary.damage_page("t")
    primary.restart()
    old = Cluster(h2, DEBIAN).init().start()
    failed = clone(h1, h2, "-R", "--replace", "--stop").expect_error(14, "was stopped", str(h2.data))
    assert "is not started again" in failed.err and staging(h2) == [] and not old.running
    assert old.start().psql("SELECT 1") == "1"


def wait_until_no_sender_is_left(host):
    """The place of a walsender is free again once its process has ended, a little after its client."""
    def is_sender(pid):
        try:
            return b"walsender" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False  # it has just ended

    wait_until(lambda: not any(map(is_sender, sweep.pids_in([host.namespace]))), 60, "the end of every walsender")


def test_too_few_senders_or_slots_are_told(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1, max_wal_senders=1, max_replication_slots=0)
    few = clone(h1, h2)
    assert few.code in (6, 10, 21), few
    assert "max_wal_senders" in few.err and "hint: " in few.err and not h2.data.exists() and staging(h2) == []
    wait_until_no_sender_is_left(h1)
    clone(h1, h2, "-X", "fetch").expect(0)
    verify_backup(h2)
    primary.stop()
    primary.configure(max_wal_senders=2).start()
    h2.data.rename(h2.cluster_folder / "first.log")
    none = clone(h1, h2)
    assert none.code in (10, 15, 21), none
    assert "max_replication_slots" in none.err and "hint: " in none.err and staging(h2) == []
    wait_until_no_sender_is_left(h1)
    clone(h1, h2, "--no-slot").expect(0)
    verify_backup(h2)
