"""`standby clone` with pg_basebackup's flags, from a primary that was made by hand; PostgreSQL's own programs judge."""

import re
import signal

import pytest

from harness.binaries import DEBIAN, npm
from harness.clones import (PASSWORD, assert_streams, clone, clone_arguments, clone_environment, fill, folders,
                            primary_by_hand, size_of, staging, start_clone, verify_backup, wait_for_slots,
                            wait_until_copying)
from harness.cluster import Cluster, wait_for_replay
from harness.copies import held_still
from harness.load import Pgbench, pgbench_init, table_sums
from harness.secret_scan import SecretScan
from harness.steps import SLOT
from harness.waiting import wait_until


def files_with(folder, text):
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.quick
def test_seeds_command_makes_a_standby_that_streams(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    result = clone(h1, h2, "-P", "-v", "-R", "-X", "stream", "-C", "-S", SLOT).expect(0)
    assert staging(h2) == []
    verify_backup(h2)
    assert (h2.data / "standby.signal").read_bytes() == b""
    conf = (h2.data / "postgresql.auto.conf").read_text()
    assert f"primary_slot_name = '{SLOT}'" in conf and h1.address in conf and "application_name" in conf
    wait_for_slots(primary, {SLOT: ("f", "f")})
    assert h2.data.stat().st_mode & 0o777 == 0o700
    assert_streams(primary, h2)
    wait_until(lambda: primary.psql("SELECT application_name FROM pg_stat_replication") == SLOT, 60, "its stream alone")
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    for secret in (PASSWORD, escaped):
        assert not files_with(h2.data, secret) and secret not in result.out + result.err
    keeper = [path for path in files_with(h2.home, escaped)]
    assert keeper and all(path.stat().st_mode & 0o77 == 0 for path in keeper)


WAL = {
    "stream": ([], True),
    "fetch": (["-X", "fetch"], True),
    "none": (["-X", "none"], False),
    "spelled-out": (["--wal-method=stream", "--checkpoint=spread", "--progress", "--verbose"], True),
}


@pytest.mark.parametrize("options, with_wal", WAL.values(), ids=WAL.keys())
def test_wal_of_each_method(pair, options, with_wal):
    h1, h2 = pair
    primary = primary_by_hand(h1, autovacuum="off")  # a spread checkpoint takes the longer the more there is to write
    fill(primary, 5)
    clone(h1, h2, *options).expect(0)
    segments = [path for path in (h2.data / "pg_wal").iterdir() if path.is_file()]
    assert bool(segments) == with_wal
    assert (h2.data / "pg_wal" / "archive_status").is_dir()
    verify_backup(h2, *([] if with_wal else ["-n"]))
    assert not (h2.data / "standby.signal").exists()
    assert staging(h2) == []
    wait_for_slots(primary, {})
    if with_wal:
        alone = Cluster(h2, DEBIAN).start()
        assert alone.psql("SELECT pg_is_in_recovery()") == "f"
        assert alone.psql("SELECT count(*), sum(i) FROM filler") == primary.psql("SELECT count(*), sum(i) FROM filler")


@pytest.mark.parametrize("binaries", [pytest.param(DEBIAN, id="15"), pytest.param(npm(12), id="12"),
                                      pytest.param(npm(18), id="18")])
def test_tablespaces_go_where_they_were_or_where_they_are_mapped(pair, binaries):
    h1, h2 = pair
    primary = primary_by_hand(h1, binaries)
    for name in ("one", "two"):  # each host has a /tmp of its own
        h1.run(["mkdir", "-m", "700", f"/tmp/{name}"]).expect(0)
        primary.psql(f"CREATE TABLESPACE {name} LOCATION '/tmp/{name}'")
        primary.psql(f"CREATE TABLE in_{name} TABLESPACE {name} AS SELECT generate_series(1, 1000) AS i")
    h2.run(["mkdir", "-m", "700", "/tmp/moved"]).expect(0)  # an empty folder is as good as none
    clone(h1, h2, "-R", "-C", "-S", SLOT, "-T", "/tmp/two=/tmp/moved").expect(0)
    links = sorted(str(path.readlink()) for path in (h2.data / "pg_tblspc").iterdir())
    assert links == ["/tmp/moved", "/tmp/one"]
    assert sorted(path.name for path in (h2.folder / "tmp").iterdir()) == ["moved", "one"]
    for name in ("one", "moved"):
        assert (h2.folder / "tmp" / name).stat().st_mode & 0o777 == 0o700
    if binaries is DEBIAN:
        verify_backup(h2)
    standby = assert_streams(primary, h2, binaries)
    for name in ("one", "two"):
        assert standby.psql(f"SELECT sum(i) FROM in_{name}") == "500500"


def test_waldir_is_linked_and_used(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    clone(h1, h2, "-R", "-C", "-S", SLOT, "--waldir", "/tmp/wal").expect(0)
    assert str((h2.data / "pg_wal").readlink()) == "/tmp/wal"
    wal = h2.folder / "tmp" / "wal"
    assert wal.stat().st_mode & 0o777 == 0o700
    assert (wal / "archive_status").is_dir() and [path for path in wal.iterdir() if len(path.name) == 24]
    verify_backup(h2)
    assert_streams(primary, h2)


@pytest.mark.parametrize("init_options, folder_mode, file_mode", [((), 0o700, 0o600), (("-g",), 0o750, 0o640)],
                         ids=["0700", "0750"])
def test_modes_and_empty_directories_are_the_primarys(pair, init_options, folder_mode, file_mode):
    h1, h2 = pair
    primary = primary_by_hand(h1, DEBIAN, *init_options)
    clone(h1, h2, "-R").expect(0)
    copied = folders(h2.data)
    assert copied == folders(h1.data) and {"pg_notify", "pg_twophase", "pg_wal/archive_status"} <= copied.keys()
    assert set(copied.values()) == {f"{folder_mode:o}"}
    assert h2.data.stat().st_mode & 0o777 == folder_mode
    modes = {path.name: f"{path.stat().st_mode & 0o777:o}" for path in h2.data.rglob("*") if path.is_file()}
    kept = {"pg_hba.conf", "postgresql.conf"}  # the harness wrote to them on the primary
    assert {mode for name, mode in modes.items() if name not in kept} == {f"{file_mode:o}"}
    assert_streams(primary, h2, slot="")


def test_label_rate_and_no_sync(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    fill(primary, 20)
    result = clone(h1, h2, "-r", "12M", "-l", "monday's copy", "-N", "-c", "fast").expect(0)
    assert "LABEL: monday's copy\n" in (h2.data / "backup_label").read_text()
    least = (size_of(h2.data) - size_of(h2.data / "pg_wal")) / (12 << 20) * 0.8
    assert result.seconds > least, f"{result.seconds} s is faster than -r allows ({least} s)"
    verify_backup(h2)


@pytest.mark.quick
@pytest.mark.parametrize("form", ["uri", "conninfo", "environment", "passfile", "ipv6"])
def test_connection_is_said_in_every_way_of_libpq(network, pair, form):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    home_passfile = h2.home / ".pgpass"
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    env = {**clone_environment(), "PGAPPNAME": "second"}
    options = {"uri": ["-d", f"postgresql://replicator@{h1.address}:5432/?application_name=second"],
               "conninfo": ["-d", f"host={h1.address} user=replicator application_name=second"],
               "environment": [], "passfile": ["-h", h1.address, "-p", "5432", "-U", "replicator", "-w"],
               "ipv6": ["-h", h1.address6, "-U", "replicator", "-w"]}[form]
    if form in ("uri", "conninfo"):
        del env["PGAPPNAME"]
    elif form == "environment":
        env = {**env, "PGHOST": h1.address, "PGUSER": "replicator"}
    elif form == "passfile":
        del env["PGPASSWORD"]
        h2.write(home_passfile, f"{h1.address}:*:*:replicator:{escaped}\n")
    scan = SecretScan(network)
    h2.standfast("standby", "clone", "-D", h2.data, "-R", "-C", "-S", SLOT, *options, env=env).expect(0)
    assert_streams(primary, h2)
    streams = "SELECT application_name FROM pg_stat_replication"
    wait_until(lambda: primary.psql(streams) == "second", 60, "its stream alone")
    if form == "passfile":  # in the other ways the test itself shows it in an environment
        scan.assert_absent([PASSWORD, escaped], allowed=[home_passfile])
    else:
        scan.stop()
    assert not files_with(h2.data, PASSWORD) and not files_with(h2.data, escaped)


def test_password_is_asked_for_without_echo(pair):
    h1, h2 = pair
    primary_by_hand(h1)
    terminal = h2.terminal(h2.standfast_command(*clone_arguments(h1, h2, "-W")))
    terminal.expect("(?i)password")
    terminal.send_line(PASSWORD)
    result = terminal.finish(120).expect(0)
    assert PASSWORD not in result.out
    verify_backup(h2)


def test_password_is_never_asked_for_with_w(pair):
    h1, h2 = pair
    primary_by_hand(h1)
    result = h2.run(h2.standfast_command(*clone_arguments(h1, h2, "-w")), tty=True, timeout=60).expect(7)
    assert "no password supplied" in result.out
    assert not h2.data.exists() and staging(h2) == []


def test_existing_slot_is_used_and_kept(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    primary.psql(f"SELECT pg_create_physical_replication_slot('{SLOT}')")
    clone(h1, h2, "-R", "-S", SLOT).expect(0)
    wait_for_slots(primary, {SLOT: ("f", "f")})
    verify_backup(h2)
    held = primary.psql("SELECT restart_lsn IS NOT NULL FROM pg_replication_slots")
    assert held == "t", "nothing keeps the WAL that the standby will ask for"
    assert_streams(primary, h2)


def test_clone_in_an_empty_directory_keeps_it_the_servers(pair):
    h1, h2 = pair
    primary_by_hand(h1)
    h2.run(["mkdir", "-m", "755", h2.data]).expect(0)
    clone(h1, h2).expect(0)
    verify_backup(h2)
    assert h2.data.stat().st_mode & 0o777 == 0o700 and staging(h2) == []


def test_progress_shows_bytes_percent_rate_and_time_left(pair):
    h1, h2 = pair
    fill(primary_by_hand(h1), 20)
    terminal = h2.terminal(h2.standfast_command(*clone_arguments(h1, h2, "-P", "-r", "12M")), env=clone_environment())
    terminal.expect(r"[\d.]+ [KM]iB of [\d.]+ MiB \(\d+%\), [\d.]+ MiB/s, \d+ s left")
    result = terminal.finish(120).expect(0)
    shown = [int(share) for share in re.findall(r"\((\d+)%\)", result.out)]
    assert shown == sorted(shown) and shown[-1] > 75, shown  # it is drawn anew now and then, which need not be at the end
    verify_backup(h2)


def test_json_is_one_object_and_nothing_else(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    result = clone(h1, h2, "-R", "-C", "-S", SLOT, "--output", "json").expect(0)
    told = result.json()
    assert told["system_identifier"] == primary.psql("SELECT system_identifier FROM pg_control_system()")
    assert told["slot"] == SLOT and re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", told["start_lsn"])
    assert result.out.count("\n") == 1 and PASSWORD not in result.out
    failed = clone(h1, h2, "-R", "--output", "json").expect(9)
    assert str(h2.data) in failed.json()["error"]["message"] and failed.json()["error"]["hint"]


@pytest.mark.parametrize("option", ["-k", "--allow-damage"])
def test_checksums_are_not_verified_with(pair, option):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    primary.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
    primary.damage_page("t")
    primary.restart()
    clone(h1, h2).expect_error(14, "--allow-damage")
    clone(h1, h2, option).expect(0)
    verify_backup(h2)


def test_unlogged_tables_come_empty_and_temporary_files_do_not(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    primary.psql("CREATE UNLOGGED TABLE fleeting AS SELECT generate_series(1, 1000) AS i; CHECKPOINT")
    path = primary.psql("SELECT pg_relation_filepath('fleeting')")
    h1.run(["sh", "-c", f"mkdir -p {h1.data}/base/pgsql_tmp; echo sort > {h1.data}/base/pgsql_tmp/pgsql_tmp1.0"]).expect(0)
    clone(h1, h2).expect(0)
    assert (h1.data / path).exists() and not (h2.data / path).exists() and (h2.data / f"{path}_init").exists()
    assert not (h2.data / "base" / "pgsql_tmp" / "pgsql_tmp1.0").exists()
    assert Cluster(h2, DEBIAN).start().psql("SELECT count(*) FROM fleeting") == "0"


def test_owner_is_the_server_user_when_root_clones(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    clone(h1, h2, "-R", "-C", "-S", SLOT, user="root").expect(0)
    owners = {path.owner() for path in [h2.data, *h2.data.rglob("*")]}
    assert owners == {"postgres"}
    assert_streams(primary, h2)
    wait_for_slots(primary, {SLOT: ("f", "t")})


def test_many_segments_come_while_the_copy_goes_on(pair):
    """Segments of 1 MB under a load, on timeline 2: the WAL from the start to the end of the backup, and its history."""
    h1, h2 = pair
    primary = primary_by_hand(h1, DEBIAN, "--wal-segsize=1", max_wal_size="'8MB'", min_wal_size="'2MB'",
                              wal_sender_timeout=0)
    primary.stop()
    h1.run(["touch", h1.data / "standby.signal"]).expect(0)
    primary.start().psql("SELECT pg_promote()")
    pgbench_init(h1)
    load = Pgbench(h1)
    running = start_clone(h1, h2, "-R", "-C", "-S", SLOT, "-r", "12M")
    wait_until_copying(running, h2)
    begun = primary.psql("SELECT pg_current_wal_lsn()")
    with held_still(running):  # until there are some segments, however slowly the load goes
        written = f"SELECT pg_current_wal_lsn() - '{begun}' > {5 << 20}"
        wait_until(lambda: primary.psql(written) == "t", 120, "many segments")
    running.wait(120).expect(0)
    assert load.stop() > 0
    names = sorted(path.name for path in (h2.data / "pg_wal").iterdir() if path.is_file())
    assert "00000002.history" in names and len([name for name in names if name.startswith("00000002000")]) > 3, names
    assert not [name for name in names if name.endswith(".partial")]
    verify_backup(h2)
    standby = assert_streams(primary, h2)
    wait_for_replay(primary, standby)
    assert table_sums(h1) == table_sums(h2)


def test_temporary_slot_has_the_number_of_its_server_process(pair):
    """Two clones whose own processes have one number, as in containers, must not meet on the primary."""
    h1, h2 = pair
    primary = primary_by_hand(h1)
    running = start_clone(h1, h2, "-r", "2M")
    wait_until_copying(running, h2)
    (slot,) = primary.rows("SELECT slot_name, temporary, active_pid FROM pg_replication_slots")
    assert slot["temporary"] == "t" and slot["slot_name"].endswith(f"_{slot['active_pid']}"), slot
    running.signal(signal.SIGINT)
    running.wait(60).expect(4)


def test_standby_that_runs_is_cloned_anew_over_its_own_slot(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    clone(h1, h2, "-R", "-C", "-S", SLOT).expect(0)
    assert_streams(primary, h2)
    primary.psql("DROP TABLE arrives")
    clone(h1, h2, "-R", "-S", SLOT, "--replace", "--stop").expect(0)
    verify_backup(h2)
    assert_streams(primary, h2)
    assert len(staging(h2)) == 1
    wait_for_slots(primary, {SLOT: ("f", "t")})


def test_copy_is_taken_from_a_standby_too(network, pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    clone(h1, h2, "-R", "-C", "-S", SLOT).expect(0)
    standby = assert_streams(primary, h2)
    h3 = network.host("h3", "10.20.20.3")
    clone(h2, h3, "-R", "-C", "-S", "third", timeout=120).expect(0)
    verify_backup(h3)
    third = Cluster(h3, DEBIAN).start()
    wait_until(lambda: third.psql("SELECT status FROM pg_stat_wal_receiver") == "streaming", 60, "a stream")
    primary.psql("CREATE TABLE further AS SELECT 1 AS one")
    wait_for_replay(primary, third)
    assert third.psql("SELECT one FROM further") == "1"
    wait_for_slots(standby, {"third": ("f", "t")})


def test_relative_target_lies_where_it_was_started(pair):
    h1, h2 = pair
    primary_by_hand(h1)
    program = h2.standfast_command("standby", "clone", "-h", h1.address, "-U", "replicator", "-D", "data", "-c", "fast")
    h2.run(["sh", "-c", 'cd "$1"; shift; exec "$@"', "sh", h2.cluster_folder, *program],
           env=clone_environment()).expect(0)
    verify_backup(h2)


def test_paths_with_odd_characters_are_taken_as_they_are(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    old, new, wal = "/tmp/a=b c\\d", "/tmp/x=y'z\n\u00fc", "/tmp/w al"
    h1.run(["mkdir", "-m", "700", old]).expect(0)
    primary.psql(f"CREATE TABLESPACE odd LOCATION '{old}'")
    primary.psql("CREATE TABLE in_odd TABLESPACE odd AS SELECT generate_series(1, 1000) AS i")
    target = h2.cluster_folder / "da ta=\u00fc"

    def escaped(path):
        return path.replace("=", "\\=")

    clone(h1, h2, "-D", target, "-R", "-C", "-S", SLOT, "-T", f"{escaped(old)}={escaped(new)}",
          "--waldir", wal).expect(0)
    assert [str(path.readlink()) for path in (target / "pg_tblspc").iterdir()] == [new]
    verify_backup(h2, data=target)
    h2.standfast("standby", "start", "-D", target).expect(0)
    wait_for_slots(primary, {SLOT: ("f", "t")})
    assert h2.psql("SELECT sum(i) FROM in_odd", data=target) == "500500"
