"""`standby start`, `stop` and `promote`: idempotent, and never on a primary."""

import re

import pytest

from harness import steps
from harness.cluster import wait_for_replay
from harness.steps import carry_token, join, set_up_primary
from harness.waiting import wait_until


@pytest.fixture
def joined(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    join(h2, carry_token(h1, h2)).expect(0)
    return pair


def standby(host, action, *options, **how):
    return host.standfast("standby", action, "-D", host.data, *options, **how)


def server_pid(host):
    return (host.data / "postmaster.pid").read_text().splitlines()[0]


@pytest.mark.parametrize("user", ["postgres", "root"])
def test_stop_and_start_do_it_once(joined, user):
    h1, h2 = joined
    pid = server_pid(h2)
    assert "already" in standby(h2, "start", user=user).expect(0).out and server_pid(h2) == pid
    standby(h2, "stop", user=user).expect(0)
    assert not (h2.data / "postmaster.pid").exists()
    wait_until(lambda: h1.psql("SELECT count(*) FROM pg_stat_replication") == "0", 60, "the end of the stream")
    assert "not running" in standby(h2, "stop", user=user).expect(0).out
    standby(h2, "start", user=user).expect(0)
    # A walsender is there before it streams.
    wait_until(lambda: h1.psql("SELECT state FROM pg_stat_replication") == "streaming", 60, "the stream")
    wait_until(lambda: h2.psql("SELECT status FROM pg_stat_wal_receiver") == "streaming", 60, "its other end")
    steps.assert_replicates(h1, h2)


def test_promote_says_where_it_left_the_primary(joined):
    h1, h2 = joined
    h1.psql("CREATE TABLE t AS SELECT generate_series(1, 100) AS i")
    wait_for_replay(h1, h2)
    standby(h2, "promote").expect_error(10, "10.20.20.1", "still runs", "--yes")
    assert h2.psql("SELECT pg_is_in_recovery()") == "t"
    told = standby(h2, "promote", "--yes").expect(0)
    assert "two" in told.err and h2.psql("SELECT pg_is_in_recovery()") == "f"
    timeline = h2.psql("SELECT timeline_id FROM pg_control_checkpoint()")
    assert re.search(r"[0-9A-F]+/[0-9A-F]+", told.out) and "timeline 2" in told.out and timeline in ("1", "2")
    assert h2.psql("SELECT count(*) FROM t") == "100"
    h2.psql("INSERT INTO t VALUES (101)")
    again = standby(h2, "promote")
    again.expect_error(10, "not a standby") if again.code else None
    assert h2.psql("SELECT count(*) FROM t") == "101"


def test_promote_without_the_primary_says_what_is_known(joined):
    h1, h2 = joined
    h1.run(["sh", "-c", f"kill -KILL {server_pid(h1)}"]).expect(0)
    told = standby(h2, "promote", timeout=90).expect(0)
    assert h2.psql("SELECT pg_is_in_recovery()") == "f"
    assert "timeline 2" in told.out and re.search(r"[0-9A-F]+/[0-9A-F]+", told.out)
    # The next step, as it says: the passwords are those that this host logged in with.
    h2.standfast("primary", "setup", "-D", h2.data, "--standby", h1.address, "--restart").expect(0)


def test_promote_of_a_standby_that_is_behind_names_the_gap(joined):
    h1, h2 = joined
    h2.psql("SELECT pg_wal_replay_pause()")
    h1.psql("CREATE TABLE late AS SELECT generate_series(1, 100000) AS i")
    told = standby(h2, "promote", "--yes", timeout=90)
    assert told.code in (0, 35), told
    if told.code == 0:  # what was received is replayed before a promotion ends
        assert h2.psql("SELECT count(*) FROM late") == "100000"


@pytest.mark.parametrize("action", ["start", "stop", "promote"])
def test_primary_is_refused(pair, action):
    h1, h2 = pair
    set_up_primary(h1, h2)
    pid = server_pid(h1)
    standby(h1, action).expect_error(10, str(h1.data), "hint: ")
    assert server_pid(h1) == pid and h1.psql("SELECT pg_is_in_recovery()") == "f"


@pytest.mark.parametrize("action", ["start", "stop", "promote"])
def test_directory_without_a_cluster_is_refused(pair, action):
    h2 = pair[1]
    h2.run(["mkdir", "-m", "700", h2.data]).expect(0)
    result = standby(h2, action)
    assert result.code in (9, 10), result
    assert str(h2.data) in result.err and "hint: " in result.err


def test_promote_of_a_stopped_standby_is_refused(joined):
    h2 = joined[1]
    standby(h2, "stop").expect(0)
    standby(h2, "promote").expect_error(10, "not running", "hint: ")
    assert (h2.data / "standby.signal").exists()


def test_start_that_fails_shows_the_servers_own_words(joined):
    h2 = joined[1]
    standby(h2, "stop").expect(0)
    with open(h2.data / "postgresql.conf", "a", encoding="utf-8") as conf:
        conf.write("no_such_setting = 1\n")
    standby(h2, "start").expect_error(19, "no_such_setting", "hint: ")
    assert not (h2.data / "postmaster.pid").exists()
