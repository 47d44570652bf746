"""`sync show`, `enable` and `disable`: nobody is waited for who does not stream, and the way out is always told."""

import signal

import pytest

from harness.binaries import DEBIAN, npm
from harness.cluster import Cluster
from harness.waiting import wait_until


@pytest.fixture
def host(network):
    """A primary that nobody follows."""
    host = network.host("h1", "10.20.20.1")
    Cluster(host, DEBIAN).init().start()
    host.psql("CREATE TABLE t (i int)")
    return host


def sync(host, *arguments, **how):
    return host.standfast("sync", *arguments, "-D", host.data, **how)


def names(host):
    return host.psql("SHOW synchronous_standby_names")


def receiver(host, name, folder=None, *, synchronous=True, late=False):
    """PostgreSQL's own receiver, which reports what is on its disk; a late one, when a segment is full."""
    port, socket_folder = host.server_socket()
    target = host.home / (folder or name)
    host.run(["mkdir", target]).expect(0)
    options = []
    if synchronous:
        host.psql(f"SELECT pg_create_physical_replication_slot('{folder or name}')")
        options = ["-S", folder or name, *(["-s", "1"] if late else ["--synchronous"])]
    before = int(host.psql("SELECT count(*) FROM pg_stat_replication"))
    running = host.start([DEBIAN.program("pg_receivewal"), "-n", "-D", target, *options, "-d",
                          f"host={socket_folder} port={port} user=postgres application_name={name}"])
    ready = "state = 'streaming'" + (" AND flush_lsn IS NOT NULL" if synchronous and not late else "")

    def streams():
        host.psql("INSERT INTO t VALUES (1)") if names(host) == "" else None
        return int(host.psql(f"SELECT count(*) FROM pg_stat_replication WHERE {ready}")) > before

    wait_until(streams, 60, f"{name} streaming")
    if late:
        host.psql("SELECT pg_switch_wal()")
        host.psql("INSERT INTO t VALUES (1)")
        wait_until(lambda: host.psql("SELECT count(flush_lsn) FROM pg_stat_replication") == "1", 60, "a full segment")
    return running


def test_name_is_listed_once_it_streams_and_the_way_out_is_told(host):
    sync(host, "enable", "witness1").expect_error(10, "nobody streams by the name \"witness1\"", "hint: ")
    assert names(host) == ""
    receiver(host, "witness1")
    planned = sync(host, "enable", "witness1", "--dry-run").expect(0)
    assert 'ANY 1 ("witness1")' in planned.out and "--dry-run" in planned.out and names(host) == ""
    told = sync(host, "enable", "witness1").expect(0)
    assert names(host) == 'ANY 1 ("witness1")' and "sync disable" in told.out and "ALTER SYSTEM" in told.out
    host.psql("INSERT INTO t VALUES (2)")  # acknowledged
    again = sync(host, "enable", "witness1", "--output", "json").expect(0).json()
    assert again["changed"] is False and again["synchronous_standby_names"] == 'ANY 1 ("witness1")'


def test_names_are_merged_and_taken_out_one_by_one(host):
    receiver(host, "a")
    receiver(host, "b")
    sync(host, "enable", "a").expect(0)
    sync(host, "enable", "b", "A").expect(0)
    assert names(host) == 'ANY 1 ("a", "b")'
    sync(host, "enable", "b", "--only", "--first", "1").expect(0)
    assert names(host) == 'FIRST 1 ("b")'
    sync(host, "disable", "a").expect_error(10, '"a" is not in synchronous_standby_names')
    sync(host, "disable", "b").expect(0)
    assert names(host) == ""
    assert "nothing was changed" in sync(host, "disable").expect(0).out


def test_name_that_streams_twice_is_refused(host):
    receiver(host, "twin", "first")
    receiver(host, "twin", "second")
    sync(host, "enable", "twin").expect_error(10, "2 connections", "application_name")
    assert names(host) == ""


def test_receiver_that_reports_no_flush_is_refused(host):
    receiver(host, "lazy", synchronous=False)
    sync(host, "enable", "lazy").expect_error(10, "lazy", "hint: ")
    assert names(host) == ""


def test_wildcard_is_given_up_only_with_only(host):
    receiver(host, "a")
    host.psql("ALTER SYSTEM SET synchronous_standby_names = '*'")
    host.psql("SELECT pg_reload_conf(), pg_sleep(0.2)")
    sync(host, "enable", "a").expect_error(10, '"*"', "--only")
    sync(host, "enable", "a", "--only").expect(0)
    assert names(host) == 'ANY 1 ("a")'


def test_disable_lets_commits_go_that_wait(host):
    running = receiver(host, "witness1")
    sync(host, "enable", "witness1").expect(0)
    running.signal(9)
    running.wait()
    wait_until(lambda: host.psql("SELECT count(*) FROM pg_stat_replication") == "0", 60, "the end of the stream")
    port, folder = host.server_socket()
    waiting = host.start([DEBIAN.program("psql"), "-Xq", "-h", folder, "-p", port, "-d", "postgres", "-c",
                          "INSERT INTO t VALUES (42)"])
    wait_until(lambda: host.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1", 60,
               "a commit that waits")
    shown = sync(host, "show").expect(0)
    assert '"witness1" is in the list and does not stream' in shown.err
    sync(host, "enable", "witness1").expect_error(10, "nobody streams")
    sync(host, "disable").expect(0)
    assert waiting.wait(60).code == 0 and names(host) == ""
    assert host.psql("SELECT count(*) FROM t WHERE i = 42") == "1"


def test_disable_of_one_is_refused_where_every_commit_would_stand_still(host):
    running = receiver(host, "s1")
    receiver(host, "witness1")
    sync(host, "enable", "s1", "witness1").expect(0)
    running.signal(9)
    running.wait()
    wait_until(lambda: host.psql("SELECT count(*) FROM pg_stat_replication") == "1", 60, "the end of the stream")
    sync(host, "disable", "witness1").expect_error(10, "every commit would stand still", "sync disable")
    assert names(host) == 'ANY 1 ("s1", "witness1")'
    sync(host, "disable", "s1").expect(0)
    host.psql("INSERT INTO t VALUES (2)")
    sync(host, "disable").expect(0)


def test_receiver_that_is_stale_is_refused(host):
    """It has a slot, so it reports a flush position: that of the last segment that was full."""
    receiver(host, "lazy", late=True)
    sync(host, "enable", "lazy", timeout=60).expect_error(10, '"lazy" does not come up to', "--synchronous")
    assert names(host) == ""


def test_frozen_receiver_is_refused(host):
    running = receiver(host, "frozen")
    running.signal(signal.SIGSTOP)
    host.psql("INSERT INTO t VALUES (2)")
    sync(host, "enable", "frozen", timeout=60).expect_error(10, '"frozen" does not come up to')
    running.signal(signal.SIGCONT)
    sync(host, "enable", "frozen", timeout=60).expect(0)


def test_commits_that_wait_for_less_are_told_and_so_is_a_witness_that_nobody_would_ask(host):
    receiver(host, "witness1")
    host.psql("CREATE ROLE app")
    host.psql("ALTER ROLE app SET synchronous_commit = off")
    told = sync(host, "enable", "witness1").expect(0)
    assert 'synchronous_commit is off for role "app"' in told.err
    assert '"witness1" keeps WAL and is not in standfast.witness' in told.err and "=witness1" in told.err
    assert f"sync disable -D {host.data}" in told.out
    shown = sync(host, "show", "--output", "json").expect(0).json()
    assert shown["weaker"] == ['off for role "app"']


def test_plain_list_that_becomes_any_is_told(host):
    receiver(host, "a")
    receiver(host, "b")
    host.psql("ALTER SYSTEM SET synchronous_standby_names = 'a, b'")
    host.psql("SELECT pg_reload_conf(), pg_sleep(0.2)")
    assert "meant FIRST 1" in sync(host, "enable", "a").expect(0).out
    assert names(host) == 'ANY 1 ("a", "b")'


def test_remote_apply_is_warned_of_where_it_is_set(host):
    receiver(host, "witness1")
    host.psql("CREATE ROLE app")
    host.psql("ALTER ROLE app SET synchronous_commit = remote_apply")
    told = sync(host, "enable", "witness1").expect(0)
    assert 'remote_apply is set for role "app"' in told.err and "hint: " in told.err
    assert sync(host, "show", "--output", "json").expect(0).json()["remote_apply"] == ['role "app"']


@pytest.mark.parametrize("action", [("enable", "a"), ("disable",)])
def test_standby_is_refused(host, action):
    cluster = Cluster(host, DEBIAN).stop()
    host.run(["touch", host.data / "standby.signal"]).expect(0)
    cluster.start()
    sync(host, *action).expect_error(10, "standby", "Run this on the primary.")


@pytest.mark.parametrize("major", [17, 18])
def test_configuration_that_is_somebody_elses_stays_and_the_line_is_told(network, major):
    host = network.host("h1", "10.20.20.1")
    Cluster(host, npm(major)).init().configure(allow_alter_system="off").start()
    sync(host, "enable", "a").expect_error(10, "allow_alter_system", "synchronous_standby_names = 'ANY 1 (\"a\")'")


def test_enable_without_a_name_is_a_mistake(host):
    sync(host, "enable").expect_error(2, "hint: ")
