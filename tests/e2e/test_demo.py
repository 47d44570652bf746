"""`standfast demo`: shows the whole on one machine, and takes all of it away again."""

import re
import shutil
import signal
from pathlib import Path

import pytest

from harness import sweep
from harness.binaries import npm
from harness.steps import LEFT_IN_THE_ENVIRONMENT
from harness.waiting import wait_until

# Standfast's own folder is made where the demo is, whatever the user's.
_HOME = {"STANDFAST_HOME": None}


def processes(host):
    return [pid for pid in sweep.pids_in([host.namespace]) if Path(f"/proc/{pid}/exe").exists()]


def listeners(host):
    return host.run(["ss", "-Hltn"], user="root").out


def assert_nothing_left(host):
    wait_until(lambda: not processes(host), 10, "the end of every process")
    assert list((host.folder / "tmp").iterdir()) == [] and list(host.home.iterdir()) == []
    assert list((host.folder / "shm").iterdir()) == [] and listeners(host) == ""


@pytest.fixture
def host(network):
    return network.host("h1", "10.20.20.1")


@pytest.mark.parametrize("user", ["root", "postgres"])
def test_demo_shows_every_step_and_leaves_nothing(host, user):
    result = host.standfast("demo", "--once", user=user, env=_HOME, timeout=120).expect(0)
    for number in ("1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "3.1", "3.2", "3.3"):
        assert f"[{number}]" in result.out, f"no step {number}:\n{result}"
    assert re.search(r"\d+(\.\d)? m?s\b", result.out), "no times"
    assert "pg_stat_replication" in result.out and "pg_stat_wal_receiver" in result.out
    assert "replica_demo" in result.out and "streaming" in result.out
    assert "SCRAM" not in result.out and "standfast1." not in result.out
    assert result.err == "" or "warning" in result.err
    assert_nothing_left(host)


@pytest.mark.parametrize("major", [12, 18])
def test_demo_of_the_programs_that_are_named(host, major):
    result = host.standfast("demo", "--once", "--pg-bin", npm(major), env=_HOME, timeout=120).expect(0)
    assert f"PostgreSQL {major}." in result.out
    assert_nothing_left(host)


def test_demo_stays_until_ctrl_c_then_removes_all(host):
    terminal = host.terminal(host.standfast_command("demo"), user="root", env=_HOME)
    terminal.expect("(?i)ctrl-c", 120)
    assert listeners(host) != ""
    assert {Path(f"/proc/{pid}").owner() for pid in processes(host) if "postgres" in
            Path(f"/proc/{pid}/comm").read_text()} == {"postgres"}
    terminal.interrupt()
    result = terminal.finish(60)
    assert result.code in (0, 4), result
    assert_nothing_left(host)


@pytest.mark.parametrize("step", [r"\[1\.1\]", r"\[2\.1\]", r"\[2\.3\]", r"\[3"])
def test_ctrl_c_in_the_middle_removes_all(host, step):
    terminal = host.terminal(host.standfast_command("demo", "--once"), env=_HOME)
    terminal.expect(step, 120)
    terminal.interrupt()
    result = terminal.finish(60)
    assert result.code == 4 or "[3" in step and result.code == 0, result
    assert_nothing_left(host)


def test_termination_in_the_middle_as_root_removes_all(host):
    running = host.start(host.standfast_command("demo", "--once"), user="root", env=_HOME)
    wait_until(lambda: "[2.1]" in running.out or not running.alive, 120, "the copy")
    running.signal(signal.SIGTERM)
    running.wait(60).expect(4)
    assert_nothing_left(host)


def test_keep_leaves_two_servers_in_a_folder_of_ones_own(host):
    folder = host.folder / "shown"
    folder.mkdir(mode=0o700)
    shutil.chown(folder, "postgres", "postgres")
    result = host.standfast("demo", "--keep", "-D", folder, env=_HOME, timeout=120).expect(0)
    assert str(folder) in result.out
    primary, standby = folder / "primary", folder / "standby"
    assert host.psql("SELECT pg_is_in_recovery()", data=primary) == "f"
    assert host.psql("SELECT pg_is_in_recovery()", data=standby) == "t"
    assert host.psql("SELECT state FROM pg_stat_replication", data=primary) == "streaming"
    assert "replica_demo" not in host.psql("SELECT datname FROM pg_database", data=primary).split()
    again = host.standfast("demo", "--once", "-D", folder, env=_HOME)
    again.expect_error(9, str(folder), "hint: ")
    assert host.psql("SELECT state FROM pg_stat_replication", data=primary) == "streaming"


def test_what_lies_around_in_the_environment_does_not_matter(host):
    """What psql's user has there all day."""
    host.standfast("demo", "--once", env={**_HOME, **LEFT_IN_THE_ENVIRONMENT}, timeout=120).expect(0)
    assert_nothing_left(host)


def test_folder_that_cannot_be_made_is_told(host):
    host.standfast("demo", "--once", "-D", "/nowhere/demo", env=_HOME).expect_error(12, "/nowhere/demo", "hint: ")
    host.standfast("demo", "--once", env={**_HOME, "TMPDIR": "/nowhere"}).expect_error(12, "/nowhere", "TMPDIR")
    host.standfast("demo", "--once", "-D", f"/tmp/{'x' * 90}", env=_HOME).expect_error(2, "socket", "hint: ")
    assert_nothing_left(host)


def test_folder_that_is_not_empty_is_refused(host):
    folder = host.home / "mine"
    host.run(["sh", "-c", f"mkdir {folder}; echo precious > {folder}/notes"]).expect(0)
    host.standfast("demo", "--once", "-D", folder, env=_HOME).expect_error(9, str(folder), "hint: ")
    assert (folder / "notes").read_text() == "precious\n" and processes(host) == []


def test_demo_without_programs_says_what_to_install(host):
    host.standfast("demo", "--once", "--pg-bin", "/nowhere", env=_HOME).expect_error(10, "/nowhere", "hint: ")
    assert_nothing_left(host)


def test_demo_in_json_is_one_object(host):
    result = host.standfast("demo", "--once", "--output", "json", env=_HOME, timeout=120).expect(0)
    assert result.json()["removed"] is True and "standfast1." not in result.out
    assert_nothing_left(host)
