"""`primary setup` on a cluster whose server stands still: it is started where nobody else reaches it, changed, and
stopped again, however the run ends."""

import os
import shutil
import signal

import pytest

from harness import steps
from harness.binaries import DEBIAN, npm
from harness.certificates import give_certificate
from harness.cluster import Cluster
from harness.state import assert_unchanged, files_of, state_of
from harness.waiting import wait_until

STANDBY = "10.20.20.2"
PENDING, CANCELLED, PRECONDITION = 3, 4, 10
MAJORS = pytest.mark.parametrize("major", [12, 15, 18])


def binaries_of(major):
    return DEBIAN if major == 15 else npm(major)


def arguments(host, *options):
    return ["primary", "setup", "-D", host.data, "--standby", STANDBY, *options]


def set_up(host, *options, **more):
    return host.standfast(*arguments(host, *options), **more)


def private_folders(host):
    return list((host.folder / "tmp").glob("standfast-private-*"))


def assert_stands_still(host, options=None):
    assert not (host.data / "postmaster.pid").exists()
    assert private_folders(host) == []
    if options is not None:
        assert (host.data / "postmaster.opts").read_text() == options


@pytest.fixture
def host(network):
    return network.host("h1", "10.20.20.1")


def stopped(host, major=15, **settings):
    return Cluster(host, binaries_of(major)).init().configure(**settings).start().stop()


@MAJORS
def test_dry_run_starts_nothing_and_plans_from_the_files(host, major):
    stopped(host, major, wal_level="minimal", max_wal_senders=0)
    before = files_of(host)
    planned = set_up(host, "--dry-run", "--restart", "--pg-bin", binaries_of(major)).expect(0)
    assert_unchanged(before, files_of(host))
    for part in ("private socket", "listen_addresses: localhost -> *", "wal_level: minimal -> replica", "pg_hba.conf",
                 "start of the server", "pgstandby1", "nothing was done", "taken as missing"):
        assert part in planned.out + planned.err, part


@MAJORS
def test_without_leave_to_start_it_all_else_is_done_and_it_stands_still_again(host, major):
    server = stopped(host, major, wal_level="minimal", max_wal_senders=0)
    options = (host.data / "postmaster.opts").read_text()
    pending = set_up(host, "--pg-bin", binaries_of(major)).expect(PENDING)
    assert_stands_still(host, options)
    assert "while the server stands still" in pending.out and "start" in pending.out
    assert "standfast join" not in pending.out and not list(host.secrets.rglob("*.token"))
    assert "BEGIN standfast" in (host.data / "pg_hba.conf").read_text()
    again = set_up(host, "--pg-bin", binaries_of(major), "--output", "json").expect(PENDING).json()
    assert again["verdict"] == "pending_restart" and again["changes"] == []
    assert_stands_still(host, options)

    # Its next start has it all, and needs no restart.
    server.start()
    assert host.psql("SHOW wal_level") == "replica" and host.psql("SHOW listen_addresses") == "*"
    assert host.psql("SELECT count(*) FROM pg_roles WHERE rolname IN ('replicator', 'standfast_monitor')") == "2"
    started = host.psql("SELECT pg_postmaster_start_time()")
    assert "standfast join" in set_up(host, "--pg-bin", binaries_of(major)).expect(0).out
    assert host.psql("SELECT pg_postmaster_start_time()") == started


@MAJORS
def test_with_leave_it_is_started_by_its_manager_and_the_seed_goes_on(pair, major):
    h1, h2 = pair
    stopped(h1, major, wal_level="minimal", max_wal_senders=0, listen_addresses="''")
    done = set_up(h1, "--restart", "--pg-bin", binaries_of(major), timeout=120).expect(0)
    assert "standfast join" in done.out and "logged in as replicator" in done.out + done.err
    assert private_folders(h1) == []
    assert "standfast-private" not in (h1.data / "postmaster.opts").read_text()
    assert h1.psql("SHOW unix_socket_directories") == "/tmp"
    steps.join(h2, steps.carry_token(h1, h2), binaries=binaries_of(major)).expect(0)
    steps.assert_replicates(h1, h2)
    before = state_of(h1)
    assert "nothing was changed" in set_up(h1, "--pg-bin", binaries_of(major)).expect(0).out
    assert_unchanged(before, state_of(h1))


def test_debians_own_cluster_is_found_stopped_and_started_by_pg_ctlcluster(network):
    host = network.host("h1", "10.20.20.1")
    host.run(["pg_createcluster", "15", "main"]).expect(0)
    data = "/var/lib/postgresql/15/main"
    as_root = {"user": "root", "env": {"STANDFAST_HOME": None}}
    pending = host.standfast("primary", "setup", "-D", data, "--standby", STANDBY, **as_root).expect(PENDING)
    assert "pg_ctlcluster 15 main start" in pending.out
    assert host.run(["pg_lsclusters", "-h"]).expect(0).out.split()[3] == "down"
    done = host.standfast("primary", "setup", "-D", data, "--standby", STANDBY, "--restart", timeout=120,
                          **as_root).expect(0)
    assert "standfast join" in done.out
    assert host.run(["pg_lsclusters", "-h"]).expect(0).out.split()[3] == "online"


def test_refusal_while_it_is_started_leaves_it_as_it_was(host):
    server = Cluster(host, DEBIAN).init().start()
    host.psql("CREATE ROLE replicator LOGIN SUPERUSER REPLICATION")
    server.stop()
    options = (host.data / "postmaster.opts").read_text()
    configuration = {path.name: path.read_text() for path in host.data.glob("*.conf*")}
    set_up(host, "--restart").expect_error(PRECONDITION, "exists and is a superuser", "NOSUPERUSER")
    assert_stands_still(host, options)
    assert {path.name: path.read_text() for path in host.data.glob("*.conf*")} == configuration
    server.start()
    assert host.psql("SELECT count(*) FROM pg_roles WHERE rolname = 'standfast_monitor'") == "0"


def test_server_that_cannot_start_is_told_why(host):
    server = Cluster(host, DEBIAN).init()
    server.configure(shared_preload_libraries="'no_such_library'")
    set_up(host, "--restart").expect_error(19, "on a private socket", "no_such_library", "hint: ")
    assert_stands_still(host)


def test_cluster_that_is_to_be_recovered_is_left_alone(host):
    Cluster(host, DEBIAN).init()
    host.write("pg/data/recovery.signal", "")
    before = files_of(host)
    set_up(host, "--restart").expect_error(PRECONDITION, "recovery.signal", "hint: ")
    assert_unchanged(before, files_of(host))
    (host.data / "recovery.signal").rename(host.data / "standby.signal")
    set_up(host, "--restart").expect_error(PRECONDITION, "is a standby", "hint: ")
    assert_stands_still(host)


def stopped_with_a_lock(host, **settings):
    """Its next start brings a lock back that the making of a role waits for: until it is let go, a run is not over."""
    server = Cluster(host, DEBIAN).init().configure(max_prepared_transactions=1, **settings).start()
    host.psql("BEGIN; LOCK TABLE pg_authid IN SHARE MODE; PREPARE TRANSACTION 'held'")
    return server.stop()


def let_go(host):
    """On the private server, with what a run that was killed has asked it for ended first."""
    others = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    host.psql(f"SELECT pg_terminate_backend(pid) {others}")
    wait_until(lambda: host.psql(f"SELECT count(*) {others}") == "0", 60, "the end of the other sessions")
    host.psql("ROLLBACK PREPARED 'held'")


def begin_and_wait_until_it_runs(host):
    running = host.start(host.standfast_command(*arguments(host)))
    wait_until(lambda: (host.data / "postmaster.pid").exists() or not running.alive, 60, "the private server")
    return running


def wait_until_ready(host):
    wait_until(lambda: "ready" in (host.data / "postmaster.pid").read_text(), 60, "the private server")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_stands_still_again(host, number):
    server = stopped_with_a_lock(host)
    options = (host.data / "postmaster.opts").read_text()
    running = begin_and_wait_until_it_runs(host)
    running.signal(number)
    running.wait().expect(CANCELLED)
    assert_stands_still(host, options)
    server.start()
    host.psql("ROLLBACK PREPARED 'held'")
    server.stop()
    set_up(host).expect(PENDING)
    assert_stands_still(host, options)


def test_what_a_killed_run_left_is_taken_over_and_stopped(host):
    server = stopped_with_a_lock(host)
    options = (host.data / "postmaster.opts").read_text()
    running = begin_and_wait_until_it_runs(host)
    running.signal(signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL
    wait_until_ready(host)
    assert private_folders(host)
    let_go(host)
    done = set_up(host).expect(PENDING)
    assert "took over" in done.out + done.err
    assert_stands_still(host, options)
    server.start()
    assert host.psql("SHOW unix_socket_directories") == "/tmp" and host.psql("SHOW listen_addresses") == "*"


def test_what_a_run_left_that_was_killed_before_it_had_a_socket_is_taken_over_too(host):
    """Between its process id and its socket the server reads its certificate, here from a pipe."""
    server = Cluster(host, DEBIAN).init()
    give_certificate(host)
    server.configure(ssl="on").start().stop()
    options = (host.data / "postmaster.opts").read_text()
    path = host.data / "server.crt"
    text = path.read_text()
    path.unlink()
    os.mkfifo(path)
    shutil.chown(path, "postgres", "postgres")
    running = begin_and_wait_until_it_runs(host)
    running.signal(signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL
    written = wait_until(lambda: text if (text := (host.data / "postmaster.pid").read_text()).count("\n") > 4 else None,
                         30, "the file with its process id, written")
    assert written.split("\n")[4:] == ["", ""], "it is to be without a socket yet"
    again = host.start(host.standfast_command(*arguments(host)))
    with pytest.raises(AssertionError):
        wait_until(lambda: not again.alive, 2, "the end of a run that has to wait for the socket")
    pipe = path.rename(host.folder / "pipe")
    host.write(path, text)
    pipe.write_text(text)
    done = again.wait().expect(PENDING)
    assert "took over" in done.out + done.err
    assert_stands_still(host, options)


_PG_CTL_AFTER_ANOTHER = """#!/bin/sh
# Before the first start, another run's server comes up, in a folder of its own.
ours=$(printf '%s\\n' "$@" | sed -n 's|.*unix_socket_directories=\\([^ ]*\\).*|\\1|p')
if [ -n "$ours" ] && mkdir -m 700 /tmp/standfast-private-another; then
  cp "$ours/postmaster.opts" /tmp/standfast-private-another/
  touch {folder}/came
  (for word; do set -- "$@" "$(printf %s "$word" | sed "s|$ours|/tmp/standfast-private-another|g")"; shift; done
   exec {real} "$@") >/dev/null 2>&1
fi
exec {real} "$@"
"""


def test_server_of_a_killed_run_that_comes_up_only_now_is_taken_over_too(host):
    stopped(host)
    options = (host.data / "postmaster.opts").read_text()
    programs = host.folder / "bin"
    programs.mkdir()
    for name in ("postgres", "initdb"):
        host.write(f"bin/{name}", f'#!/bin/sh\nexec {DEBIAN.program(name)} "$@"\n', mode=0o755)
    host.write("bin/pg_ctl", _PG_CTL_AFTER_ANOTHER.replace("{real}", str(DEBIAN.program("pg_ctl")))
               .replace("{folder}", str(host.home)), mode=0o755)
    set_up(host, "--pg-bin", programs).expect(PENDING)
    assert (host.home / "came").exists()
    assert_stands_still(host, options)


def test_nobody_else_reaches_it(host):
    stopped_with_a_lock(host, listen_addresses="'*'")
    running = begin_and_wait_until_it_runs(host)
    try:
        wait_until_ready(host)
        lines = (host.data / "postmaster.pid").read_text().splitlines()
        assert lines[4].startswith("/tmp/standfast-private-") and lines[5] == "", lines
        assert (private_folders(host)[0].stat().st_mode & 0o777) == 0o700
        host.psql("ROLLBACK PREPARED 'held'")
    finally:
        ended = running.wait()
    ended.expect(PENDING)
    assert_stands_still(host)
