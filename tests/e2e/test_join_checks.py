"""What `join` finds out before it copies anything, and what it puts right in the copy."""

import itertools
import shutil
import sys
from dataclasses import dataclass, field

import pytest

from harness import steps
from harness.binaries import DEBIAN, npm
from harness.clones import fill, slots, staging, tree
from harness.cluster import Cluster
from harness.network import Network
from harness.steps import SLOT, carry_token, join, set_up_primary
from harness.waiting import wait_until


@dataclass
class Refusal:
    """What is in the way of a standby, on either host; what has to be said; the way out that has to be named."""

    code: int
    says: list
    hint: str
    options: list = field(default_factory=list)
    prepare: object = None


def port_taken(h1, h2):
    server = h2.start([sys.executable, "-m", "http.server", "--bind", "0.0.0.0", "5432"])
    wait_until(lambda: h2.run(["ss", "-Hltn", "sport = :5432"]).out, 60, "a server on port 5432")
    assert server.alive


def library_missing(h1, h2):
    """Each host has a /tmp of its own, so the library is on the primary only."""
    h1.run(["cp", "/usr/lib/postgresql/15/lib/auth_delay.so", "/tmp/only_here.so"]).expect(0)
    h1.psql("ALTER SYSTEM SET shared_preload_libraries = '/tmp/only_here'")
    Cluster(h1, DEBIAN).restart()


def tablespace_occupied(h1, h2):
    h1.run(["mkdir", "-m", "700", "/tmp/space"]).expect(0)
    h1.psql("CREATE TABLESPACE space LOCATION '/tmp/space'")
    h2.run(["sh", "-c", "mkdir -m 700 /tmp/space; echo mine > /tmp/space/notes"]).expect(0)


def small_disk(h1, h2):
    h2.tmpfs(h2.cluster_folder, 16)


def slot_dropped(h1, h2):
    h1.psql(f"SELECT pg_drop_replication_slot('{SLOT}')")


def slot_in_use(h1, h2):
    h1.run(["mkdir", "/tmp/received"]).expect(0)
    h1.start([DEBIAN.program("pg_receivewal"), "-h", h1.server_socket()[1], "-U", "postgres", "-D", "/tmp/received",
              "-S", SLOT])
    wait_until(lambda: slots(h1)[SLOT][1] == "t", 60, "the slot in use")


def foreign_cluster(h1, h2):
    Cluster(h2, DEBIAN).init()


def running_cluster(h1, h2):
    Cluster(h2, DEBIAN).init().configure(port=5433).quiet().start()


def full_directory(h1, h2):
    h2.run(["sh", "-c", f"mkdir -m 700 {h2.data}; echo precious > {h2.data}/notes"]).expect(0)


def replaced_primary(h1, h2):
    """Another cluster answers at the primary's address, with the same certificate and the same logins."""
    h1.psql("CHECKPOINT")
    kept = {name: (h1.data / name).read_bytes() for name in ("server.crt", "server.key", "pg_hba.conf",
                                                             "postgresql.conf", "postgresql.auto.conf")}
    passwords = h1.psql("SELECT format('CREATE ROLE %I LOGIN %s PASSWORD %L', rolname, CASE WHEN rolreplication THEN "
                        "'REPLICATION' ELSE '' END, rolpassword) FROM pg_authid WHERE rolpassword IS NOT NULL")
    Cluster(h1, DEBIAN).stop()
    h1.data.rename(h1.cluster_folder / "old.log")
    Cluster(h1, DEBIAN).init()
    for name, content in kept.items():
        (h1.data / name).write_bytes(content)
    for name in ("server.crt", "server.key"):
        shutil.chown(h1.data / name, "postgres", "postgres")
        (h1.data / name).chmod(0o600)
    Cluster(h1, DEBIAN).start()
    for statement in passwords.splitlines():
        h1.psql(statement)
    h1.psql("GRANT pg_monitor TO standfast_monitor")
    h1.psql("CREATE DATABASE standfast OWNER standfast_monitor")


OF_THE_HOST = {
    "port taken": Refusal(20, ["5432"], "--port", prepare=port_taken),
    "major versions differ": Refusal(8, ["15", "14"], "--pg-bin", ["--pg-bin", npm(14)]),
    "not enough room": Refusal(11, ["{parent}", "MiB"], "disk", prepare=small_disk),
    "target is another cluster": Refusal(9, ["{data}"], "--replace", prepare=foreign_cluster),
    "server running there": Refusal(20, ["{data}"], "--stop", ["--replace"], prepare=running_cluster),
    "target is no data directory": Refusal(9, ["{data}"], "", ["--replace"], prepare=full_directory),
    "no such programs": Refusal(10, ["/nowhere"], "", ["--pg-bin", "/nowhere"]),
}
OF_THE_PRIMARY = {
    "library of shared_preload_libraries missing here": Refusal(10, ["/tmp/only_here"], "Install",
                                                                prepare=library_missing),
    "tablespace path occupied": Refusal(9, ["/tmp/space"], "-T", prepare=tablespace_occupied),
    "slot dropped": Refusal(15, [SLOT], "primary setup", prepare=slot_dropped),
    "slot in use": Refusal(15, [SLOT, "in use"], "token", prepare=slot_in_use),
    "another cluster at that address": Refusal(10, ["system identifier"], "token", prepare=replaced_primary),
}


def stop_autovacuum(host):
    """What it writes, as it does some time after a server's start, would be taken for what a backup writes."""
    host.psql("ALTER SYSTEM SET autovacuum = off")
    host.psql("SELECT pg_reload_conf()")
    wait_until(lambda: host.psql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'") == "0", 60,
               "the end of autovacuum")


def assert_refused(case, h1, h2, token):
    if case.prepare:
        case.prepare(h1, h2)
    stop_autovacuum(h1)
    words = {"data": h2.data, "parent": h2.cluster_folder}
    before, slots_before = tree(h2.cluster_folder), slots(h1)
    position = h1.psql("SELECT pg_current_wal_lsn()")

    result = join(h2, token, *case.options)

    result.expect_error(case.code, *(text.format(**words) for text in case.says))
    hint = result.err.partition("hint: ")[2]
    assert hint and case.hint in hint, f"no way out is named:\n{result}"
    assert tree(h2.cluster_folder) == before and slots(h1) == slots_before
    assert not [path for path in h2.secrets.rglob("*") if path.is_file()]
    assert h1.psql(f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{position}') < 65536") == "t", "a backup was begun"
    if (h2.data / "postmaster.pid").exists():
        assert h2.psql("SELECT 1") == "1"


@pytest.fixture(scope="module")
def prepared_primary(tmp_path_factory):
    """One primary for what is wrong with the standby's host only; every host of the network may log in."""
    network = Network(tmp_path_factory.mktemp("join") / "log")
    try:
        h1, h2 = network.host("h1", "10.20.20.1"), network.host("h2", "10.20.20.2")
        set_up_primary(h1, h2)
        hba = h1.data / "pg_hba.conf"
        hba.write_text("hostssl replication,all replicator,standfast_monitor samenet scram-sha-256\n" + hba.read_text())
        h1.psql("SELECT pg_reload_conf()")
        yield network, h1
    finally:
        network.close()


_numbers = itertools.count(11)


@pytest.mark.parametrize("name", OF_THE_HOST)
def test_refused_by_what_is_on_the_host(prepared_primary, name):
    network, h1 = prepared_primary
    number = next(_numbers)
    host = network.host(f"x{number}", f"10.20.20.{number}")
    assert_refused(OF_THE_HOST[name], h1, host, carry_token(h1, host))


@pytest.mark.parametrize("name", OF_THE_PRIMARY)
def test_refused_by_what_is_on_the_primary(pair, name):
    h1, h2 = pair
    set_up_primary(h1, h2)
    assert_refused(OF_THE_PRIMARY[name], h1, h2, carry_token(h1, h2))


@pytest.mark.quick
def test_dry_run_changes_nothing(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    token = carry_token(h1, h2)
    def state():
        found = [tree(folder) for folder in (h2.cluster_folder, h2.home, h2.folder / "tmp", h2.folder / "run")]
        found[1].pop(h2.secrets.name, None)  # the empty root of the secrets may be there afterwards
        return found

    before, slots_before = state(), slots(h1)
    result = join(h2, token, "--dry-run").expect(0)
    assert state() == before
    assert slots(h1) == slots_before
    # What a login by replication leaves behind it is gone a little after its client.
    wait_until(lambda: h1.psql("SELECT count(*) FROM pg_stat_replication") == "0", 60, "no walsender is left")
    assert str(h2.data) in result.out and "would" in result.out and "dry-run" in result.out
    assert join(h2, token, "--dry-run", "--output", "json").expect(0).json()["dry_run"] is True


def test_settings_of_the_primary_are_taken_out_of_the_copy(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    for setting in ("listen_addresses = '10.20.20.1,127.0.0.1'", "port = 5432", "archive_command = 'cp %p /tmp/%f'",
                    "archive_mode = on", "synchronous_standby_names = ''", "recovery_target_timeline = 'current'",
                    "recovery_target_name = 'somewhere'", "recovery_end_command = 'true'", "cluster_name = 'first'",
                    "work_mem = '5MB'"):
        h1.psql(f"ALTER SYSTEM SET {setting}")
    Cluster(h1, DEBIAN).restart()
    result = join(h2, carry_token(h1, h2), "--output", "json").expect(0).json()
    taken = {"listen_addresses", "port", "archive_command", "archive_mode", "synchronous_standby_names",
             "recovery_target_timeline", "recovery_target_name", "recovery_end_command", "cluster_name"}
    assert set(result["settings_taken_out"]) == taken
    conf = (h2.data / "postgresql.auto.conf").read_text()
    assert "work_mem = '5MB'" in conf
    for name in taken - {"listen_addresses"}:  # that one may come back with a value of this host
        assert not [line for line in conf.splitlines() if line.startswith(name)], conf
    steps.assert_replicates(h1, h2)
    assert h2.psql("SHOW work_mem") == "5MB" and h2.psql("SHOW cluster_name") == ""


def test_address_of_the_primary_in_its_own_file_becomes_this_hosts(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    h1.psql("ALTER SYSTEM RESET listen_addresses")
    Cluster(h1, DEBIAN).configure(listen_addresses="'10.20.20.1'").restart()
    join(h2, carry_token(h1, h2)).expect(0)
    steps.assert_replicates(h1, h2)
    assert h2.address in h2.psql("SHOW listen_addresses") and h1.address not in h2.psql("SHOW listen_addresses")


def test_settings_below_the_primarys_are_raised(pair):
    """The primary has them from its command line, so the copy of its files does not."""
    h1, h2 = pair
    set_up_primary(h1, h2)
    h1.psql("ALTER SYSTEM RESET ALL")
    primary = Cluster(h1, DEBIAN).stop()
    h1.run([DEBIAN.program("pg_ctl"), "-D", h1.data, "-w", "-l", h1.cluster_folder / "again.log", "-o",
            "-c max_connections=150 -c max_prepared_transactions=7 -c listen_addresses=*", "start"]).expect(0)
    join(h2, carry_token(h1, h2)).expect(0)
    steps.assert_replicates(h1, h2)
    assert h2.psql("SHOW max_connections") == "150" and h2.psql("SHOW max_prepared_transactions") == "7"
    assert primary.psql("SHOW max_connections") == "150"


def test_tablespaces_waldir_port_and_name_are_as_asked(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    h1.run(["mkdir", "-m", "700", "/tmp/space"]).expect(0)
    h1.psql("CREATE TABLESPACE space LOCATION '/tmp/space'")
    h1.psql("CREATE TABLE in_space TABLESPACE space AS SELECT generate_series(1, 1000) AS i")
    join(h2, carry_token(h1, h2), "-T", "/tmp/space=/tmp/elsewhere", "--waldir", "/tmp/wal", "--port", "5499",
         "--name", "second").expect(0)
    assert h2.psql("SHOW port") == "5499" and h2.psql("SELECT sum(i) FROM in_space") == "500500"
    assert h1.psql("SELECT application_name FROM pg_stat_replication") == "second"
    assert str((h2.data / "pg_wal").readlink()) == "/tmp/wal"
    assert [str(path.readlink()) for path in (h2.data / "pg_tblspc").iterdir()] == ["/tmp/elsewhere"]


def test_old_directory_is_renamed_aside_and_named(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    old = Cluster(h2, DEBIAN).init().start()
    old.psql("CREATE TABLE precious AS SELECT 7 AS seven")
    result = join(h2, carry_token(h1, h2), "--replace", "--stop").expect(0)
    steps.assert_replicates(h1, h2)
    (aside,) = staging(h2)
    assert str(h2.cluster_folder / aside) in result.out
    h2.standfast("standby", "stop", "-D", h2.data).expect(0)
    assert Cluster(h2, DEBIAN, h2.cluster_folder / aside).start().psql("SELECT seven FROM precious") == "7"


def test_progress_is_shown_on_a_terminal(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    fill(h1, 10)
    token = carry_token(h1, h2)
    terminal = h2.terminal(h2.standfast_command("join", "-D", h2.data, "--token-file", token, "-r", "12M"))
    terminal.expect(r"[\d.]+ [KM]iB of [\d.]+ MiB \(\d+%\), [\d.]+ MiB/s, \d+ s left")
    terminal.finish().expect(0)
