"""`standfast demo`: shows the whole on one machine, and takes all of it away again."""

import os
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


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # it has ended


def owners_of_servers(host):
    owners = set()
    for pid in processes(host):
        try:
            if "postgres" in Path(f"/proc/{pid}/comm").read_text():
                owners.add(Path(f"/proc/{pid}").owner())
        except OSError:
            pass  # it has ended, as those of autovacuum do all the time
    return owners


def listeners(host):
    return host.run(["ss", "-Hltn"], user="root").out


def assert_nothing_left(host):
    wait_until(lambda: not processes(host), 60, "the end of every process")
    assert list((host.folder / "tmp").iterdir()) == [] and list(host.home.iterdir()) == []
    assert list((host.folder / "shm").iterdir()) == []
    wait_until(lambda: listeners(host) == "", 30, "the sockets of what has just ended closed")


def assert_nothing_is_lost(out):
    """By the text: the witness alone acknowledged, the standby got the rest from it, and every row is there."""
    told, found = re.search(r"(\d+) rows whose commit was acknowledged, (\d+) of them found", out).groups()
    assert told == found and int(told) >= 1000
    assert re.search(r"the witness has acknowledged WAL up to [0-9A-F]+/[0-9A-F]+; the standby is still at", out), out
    assert re.search(r"\d+ bytes more than the standby", out) and 'get from witness "witness1"' in out
    had, acknowledged, begins = (
        lsn(text) for text in re.search(r"the standby had WAL up to (\S+), the witness had acknowledged (\S+), the new primary "
                                        r"goes on from (\S+)", out).groups())
    assert had < acknowledged <= begins


def lsn(text):
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


@pytest.fixture
def host(network):
    return network.host("h1", "10.20.20.1")


@pytest.mark.parametrize("user", ["root", "postgres"])
def test_demo_shows_every_step_and_leaves_nothing(host, user):
    result = host.standfast("demo", "--once", user=user, env=_HOME, timeout=200).expect(0)
    for number in ("1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "3.1", "3.2", "3.3", "4.1", "4.2", "4.3", "4.4", "4.5", "4.6",
                   "4.7", "4.8", "5.1", "5.2", "5.3", "5.4"):
        assert f"[{number}]" in result.out, f"no step {number}:\n{result}"
    assert re.search(r"\d+(\.\d)? m?s\b", result.out), "no times"
    assert "pg_stat_replication" in result.out and "pg_stat_wal_receiver" in result.out
    assert "replica_demo" in result.out and "streaming" in result.out and "all is well" in result.out
    assert_nothing_is_lost(result.out)
    assert "SCRAM" not in result.out and "standfast1." not in result.out
    assert result.err == "" or "warning" in result.err
    assert_nothing_left(host)


@pytest.mark.parametrize("major", [12, 13, 18])
def test_demo_of_the_programs_that_are_named(host, major):
    result = host.standfast("demo", "--once", "--pg-bin", npm(major), env=_HOME, timeout=200).expect(0)
    assert f"PostgreSQL {major}." in result.out
    assert ("the standby restarts" in result.out) == (major == 12)
    assert_nothing_is_lost(result.out)
    assert_nothing_left(host)


def test_demo_stays_until_ctrl_c_then_removes_all(host):
    terminal = host.terminal(host.standfast_command("demo"), user="root", env=_HOME)
    terminal.expect("(?i)ctrl-c", 120)
    assert listeners(host) != ""
    assert owners_of_servers(host) == {"postgres"}
    terminal.interrupt()
    result = terminal.finish()
    assert result.code in (0, 4), result
    assert_nothing_left(host)


@pytest.mark.parametrize("step", [r"\[1\.1\]", r"\[2\.1\]", r"\[2\.3\]", r"\[3", r"\[4\.1\]", r"\[4\.2\]", r"\[4\.3\]", r"\[4\.4\]",
                                  r"\[4\.5\]", r"\[4\.6\]", r"\[4\.7\]", "get from witness", r"\[4\.8\]", r"\[5\.1\]", r"\[5\.2\]",
                                  r"\[5\.3\]", r"\[5\.4\]"])
def test_ctrl_c_in_the_middle_removes_all(host, step):
    terminal = host.terminal(host.standfast_command("demo", "--once"), env=_HOME)
    terminal.expect(step, 120)
    terminal.interrupt()
    result = terminal.finish()
    assert result.code == 4 or step == r"\[5\.4\]" and result.code == 0, result
    assert_nothing_left(host)


def test_ctrl_c_while_a_12_restarts_to_be_cut_off_removes_all(host):
    terminal = host.terminal(host.standfast_command("demo", "--once", "--pg-bin", npm(12)), env=_HOME)
    terminal.expect("the standby restarts", 120)
    terminal.interrupt()
    assert terminal.finish().code == 4
    assert_nothing_left(host)


def test_termination_in_the_middle_as_root_removes_all(host):
    running = host.start(host.standfast_command("demo", "--once"), user="root", env=_HOME)
    wait_until(lambda: "[2.1]" in running.out or not running.alive, 120, "the copy")
    running.signal(signal.SIGTERM)
    running.wait().expect(4)
    assert_nothing_left(host)


def test_termination_in_the_act_as_root_removes_all(host):
    running = host.start(host.standfast_command("demo", "--once"), user="root", env=_HOME)
    wait_until(lambda: "[4.5]" in running.out or not running.alive, 120, "the commits")
    running.signal(signal.SIGTERM)
    running.wait().expect(4)
    assert_nothing_left(host)


def test_witness_that_ends_before_it_streams_ends_the_demo(host):
    running = host.start(host.standfast_command("demo", "--once"), env=_HOME)

    def witness():
        # Its children alone: a look at every process would take longer than the witness needs.
        children = []
        for task in Path(f"/proc/{running.pid}/task").iterdir():
            try:
                children += (task / "children").read_text().split()
            except OSError:
                pass  # a thread that has ended
        return [int(pid) for pid in children if b"\0witness\0" in command_line(pid)]

    wait_until(lambda: "[4.2]" in running.out or not running.alive, 120, "the witness's step")
    while not (found := witness()):
        assert running.alive, running.wait()
    os.kill(found[0], signal.SIGKILL)  # a program that does it would come too late
    result = running.wait()
    assert result.code != 0 and "witness" in result.err, result
    assert_nothing_left(host)


STREAMS = "SELECT string_agg(application_name || ' ' || state, ', ' ORDER BY application_name) FROM pg_stat_replication"


def test_keep_leaves_two_servers_and_a_witness_in_a_folder_of_ones_own(host):
    folder = host.folder / "shown"
    folder.mkdir(mode=0o700)
    shutil.chown(folder, "postgres", "postgres")
    result = host.standfast("demo", "--keep", "-D", folder, "--output", "json", env=_HOME, timeout=200).expect(0).json()
    primary, standby = Path(result["primary"]["data_directory"]), Path(result["standby"]["data_directory"])
    assert (primary, standby) == (folder / "server2", folder / "server1")
    assert host.psql("SELECT pg_is_in_recovery()", data=primary) == "f"
    assert host.psql("SELECT pg_is_in_recovery()", data=standby) == "t"
    assert host.psql(STREAMS, data=primary) == "pgstandby1 streaming, witness1 streaming"
    assert host.psql("SHOW synchronous_standby_names", data=primary) == 'ANY 1 ("pgstandby1", "witness1")'
    assert "replica_demo" not in host.psql("SELECT datname FROM pg_database", data=primary).split()
    proof = result["loss_proof"]
    assert proof["streamed_from"] == "witness1" and proof["acknowledged_rows"] == proof["found_rows"] >= 1000
    assert int(host.psql("SELECT count(*) FROM demo_commits", data=standby)) == proof["found_rows"] + proof["further_rows"]
    again = host.standfast("demo", "--once", "-D", folder, env=_HOME)
    again.expect_error(9, str(folder), "hint: ")
    assert host.psql(STREAMS, data=primary) == "pgstandby1 streaming, witness1 streaming"
    # A commit while the standby is down is acknowledged by the witness, which outlived the demo.
    host.standfast("standby", "stop", "-D", standby, env={"STANDFAST_HOME": f"{folder}/secrets"}).expect(0)
    host.psql("SET statement_timeout = '60s'; SET synchronous_commit = on; INSERT INTO demo_commits VALUES (0, 0)", data=primary)
    witness = result["witness"]["process"]
    assert Path(f"/proc/{witness}/comm").read_text() == "standfast\n"
    host.run(["kill", str(witness)]).expect(0)
    wait_until(lambda: witness not in processes(host), 60, "the end of the witness")


def test_what_lies_around_in_the_environment_does_not_matter(host):
    """What psql's user has there all day."""
    host.standfast("demo", "--once", env={**_HOME, **LEFT_IN_THE_ENVIRONMENT}, timeout=200).expect(0)
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
    result = host.standfast("demo", "--once", "--output", "json", env=_HOME, timeout=200).expect(0)
    told = result.json()
    assert told["removed"] is True and "standfast1." not in result.out and "process" not in told["witness"]
    assert told["loss_proof"]["acknowledged_rows"] == told["loss_proof"]["found_rows"] >= 1000
    assert_nothing_left(host)
