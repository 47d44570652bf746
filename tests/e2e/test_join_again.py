"""`join` a second time, and after it was killed at each of its stages."""

import os
import shutil
import signal

import pytest

from harness import steps
from harness.binaries import DEBIAN
from harness.clones import fill, slots, staging, wait_until_copying
from harness.steps import LEFT_IN_THE_ENVIRONMENT, SLOT, carry_token, join, set_up_primary
from harness.waiting import wait_until


def start_join(host, token, *options):
    return host.start(host.standfast_command("join", "-D", host.data, "--token-file", token, *options))


def pid_of_server(host):
    return (host.data / "postmaster.pid").read_text().splitlines()[0]


def test_second_join_copies_nothing_and_leaves_the_server_running(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    token = carry_token(h1, h2)
    join(h2, token).expect(0)
    pid, identity = pid_of_server(h2), (h2.data / "PG_VERSION").stat().st_ino
    secrets = {path: path.read_bytes() for path in h2.secrets.rglob("*") if path.is_file()}
    again = join(h2, token, "--output", "json").expect(0).json()
    assert again["was_a_standby_already"] is True and "copy" not in again
    assert pid_of_server(h2) == pid and (h2.data / "PG_VERSION").stat().st_ino == identity
    assert {path: path.read_bytes() for path in h2.secrets.rglob("*") if path.is_file()} == secrets
    steps.assert_replicates(h1, h2)


@pytest.mark.parametrize("user", ["postgres", "root"])
def test_what_lies_around_in_the_environment_does_not_matter(pair, user):
    h1, h2 = pair
    set_up_primary(h1, h2)
    join(h2, carry_token(h1, h2), env=LEFT_IN_THE_ENVIRONMENT, user=user).expect(0)
    steps.assert_replicates(h1, h2)
    assert h1.psql("SELECT application_name FROM pg_stat_replication") == SLOT


def test_join_of_a_stopped_standby_starts_it(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    token = carry_token(h1, h2)
    join(h2, token).expect(0)
    identity = (h2.data / "PG_VERSION").stat().st_ino
    h2.standfast("standby", "stop", "-D", h2.data).expect(0)
    join(h2, token).expect(0)
    assert (h2.data / "PG_VERSION").stat().st_ino == identity
    steps.assert_replicates(h1, h2)


def test_join_killed_in_the_copy_is_done_again(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    fill(h1, 20)
    token = carry_token(h1, h2)
    running = start_join(h2, token, "-r", "4M")
    wait_until_copying(running, h2)
    running.signal(signal.SIGKILL)
    running.wait().expect(-9)
    assert not h2.data.exists() and staging(h2)
    wait_until(lambda: slots(h1) == {SLOT: ("f", "f")}, 60, "the slot free again")
    join(h2, token).expect(0)
    steps.assert_replicates(h1, h2)
    steps.assert_nothing_lies_around(h2)


def test_join_killed_between_copy_and_start_goes_on_without_a_copy(pair):
    """The first run gets a pg_ctl that takes its time, so that it can be killed before the server is there."""
    h1, h2 = pair
    set_up_primary(h1, h2)
    token = carry_token(h1, h2)
    slow = h2.folder / "tmp" / "bin"
    slow.mkdir()
    for name in ("postgres", "initdb"):  # copies: through a link the folder of the real programs would be found
        shutil.copy(DEBIAN.program(name), slow)
    (slow.parent / "lib").symlink_to(DEBIAN.bin_dir.parent / "lib")
    (slow / "pg_ctl").write_text("#!/bin/sh\ntouch /tmp/starting\nexec sleep 100\n")
    (slow / "pg_ctl").chmod(0o755)
    running = start_join(h2, token, "--pg-bin", "/tmp/bin")
    wait_until(lambda: (h2.folder / "tmp" / "starting").exists() or not running.alive, 120, "the start")
    assert running.alive, running.wait()
    running.signal(signal.SIGKILL)
    running.wait().expect(-9)
    assert (h2.data / "standby.signal").exists() and not (h2.data / "postmaster.pid").exists()
    identity = (h2.data / "PG_VERSION").stat().st_ino

    second = join(h2, token, "--output", "json").expect(0).json()

    assert second["was_a_standby_already"] is True and "copy" not in second
    assert (h2.data / "PG_VERSION").stat().st_ino == identity
    steps.assert_replicates(h1, h2)
    steps.assert_nothing_lies_around(h2)


def test_interrupted_join_leaves_nothing_and_keeps_the_slot_of_the_setup(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    fill(h1, 20)
    token = carry_token(h1, h2)
    running = start_join(h2, token, "-r", "4M")
    wait_until_copying(running, h2)
    running.signal(signal.SIGINT)
    running.wait().expect(4)
    assert not h2.data.exists() and staging(h2) == []
    assert not [path for path in h2.secrets.rglob("*") if path.is_file()]
    assert slots(h1) == {SLOT: ("f", "f")}
    assert h1.psql("SELECT restart_lsn IS NULL FROM pg_replication_slots") == "t", "the slot holds WAL for nobody"
    join(h2, token).expect(0)
    steps.assert_replicates(h1, h2)


def test_standby_that_does_not_start_shows_its_log_and_stays(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    # It waits for a restart on the primary, so it is not in force there; the copy would start with it.
    h1.psql("ALTER SYSTEM SET shared_preload_libraries = 'no_such_library'")
    token = carry_token(h1, h2)
    failed = join(h2, token)
    failed.expect_error(19, "hint: ")
    assert "no_such_library" in failed.err
    assert (h2.data / "PG_VERSION").exists() and not (h2.data / "postmaster.pid").exists()
    conf = h2.data / "postgresql.auto.conf"
    conf.write_text("".join(line for line in conf.read_text().splitlines(True) if "no_such_library" not in line))
    join(h2, token).expect(0)
    steps.assert_replicates(h1, h2)


def test_join_of_another_token_does_not_take_the_standby_for_its_own(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    join(h2, carry_token(h1, h2)).expect(0)
    pid = pid_of_server(h2)
    h1.standfast("primary", "setup", "-D", h1.data, "--standby", "10.20.20.3", "--restart", timeout=120).expect(0)
    other = [path for path in h1.secrets.rglob("*.token") if SLOT not in path.name]
    assert len(other) == 1, other
    token = h2.write("token2", other[0].read_text())
    join(h2, token).expect_error(9, str(h2.data), "--replace")
    assert pid_of_server(h2) == pid
    os.kill(int(pid), 0)
    assert h2.psql("SELECT slot_name FROM pg_stat_wal_receiver") == SLOT


def test_running_standby_is_joined_anew_when_that_is_asked_for(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    token = carry_token(h1, h2)
    join(h2, token).expect(0)
    identity = (h2.data / "PG_VERSION").stat().st_ino
    join(h2, token, "--replace").expect_error(20, str(h2.data), "--stop")
    steps.assert_replicates(h1, h2)
    join(h2, token, "--replace", "--stop").expect(0)
    assert (h2.data / "PG_VERSION").stat().st_ino != identity and len(staging(h2)) == 1
    steps.assert_replicates(h1, h2)


def test_stopped_standby_that_lost_its_wal_is_joined_anew(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    token = carry_token(h1, h2)
    join(h2, token).expect(0)
    h2.standfast("standby", "stop", "-D", h2.data).expect(0)
    h1.psql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    h1.psql("SELECT pg_reload_conf()")
    for _ in range(3):
        h1.psql("CREATE TABLE IF NOT EXISTS w (i int); INSERT INTO w SELECT generate_series(1, 1000)")
        h1.psql("SELECT pg_switch_wal()")
    h1.psql("CHECKPOINT")
    wait_until(lambda: h1.psql("SELECT wal_status FROM pg_replication_slots") == "lost", 60, "the slot lost")
    join(h2, token).expect_error(15, SLOT, "lost", "primary setup", "--replace")
    join(h2, token, "--replace").expect_error(15, SLOT, "lost", "primary setup")
    h1.psql("ALTER SYSTEM RESET max_slot_wal_keep_size")
    h1.psql("SELECT pg_reload_conf()")
    h1.standfast("primary", "setup", "-D", h1.data, "--restart", timeout=120).expect(0)
    join(h2, token, "--replace").expect(0)
    steps.assert_replicates(h1, h2)
