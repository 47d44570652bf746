"""What `status` and `verify` say, and with which exit code, of a pair that is well and of one that is not."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest

from harness import steps
from harness.binaries import DEBIAN
from harness.cluster import Cluster, wait_for_replay
from harness.secret_scan import SecretScan, secrets_of
from harness.waiting import wait_until

CANCELLED = 4
PATIENT = ("--timeout", "600")  # of a verify that is to know better than to wait: the test's own deadline is less
NOT_STREAMING, LAGGING, SLOT_LOST, SLOT_INACTIVE, UNREACHABLE, PAUSED, DELAYED, NOT_REPLICATING = range(30, 38)


_ADMITS_MONITOR = "hostssl standfast standfast_monitor 10.20.20.1/32 scram-sha-256\n"


def admit_monitor(h2, admitted=True):
    """Whether the primary's host may ask the standby itself, which is for its administrator to say."""
    path = h2.data / "pg_hba.conf"
    path.write_text(path.read_text().replace(_ADMITS_MONITOR, "") + (_ADMITS_MONITOR if admitted else ""))
    h2.psql("SELECT pg_reload_conf(), pg_sleep(0.3)")


@pytest.fixture(scope="module")
def joined(shared_network):
    """A pair that replicates. Each test leaves it so. At the end no secret is anywhere on it."""
    h1, h2 = shared_network.host("h1", "10.20.20.1"), shared_network.host("h2", "10.20.20.2")
    scan = SecretScan(shared_network)
    steps.set_up_primary(h1, h2)
    token = steps.carry_token(h1, h2)
    steps.join(h2, token, "--listen", "*").expect(0)
    admit_monitor(h2)
    h1.psql("CREATE TABLE t (i int)")
    wait_for_replay(h1, h2)
    yield h1, h2
    scan.assert_absent(secrets_of(h1, h2), allowed=[token])


def status(host, *options, **more):
    return host.standfast("status", "-D", host.data, *options, **more)


def verify(host, *options, **more):
    return host.standfast("verify", "-D", host.data, *options, **more)


def judged(result, code, *texts):
    """A verdict is the result of the command, not its failure: it may stand on standard output."""
    result.expect(code)
    for text in ("hint: ", *texts):
        assert text in result.out + result.err, f"lacks {text!r}:\n{result}"
    return result


def of_primary(h2):
    """How the standby's host reaches the primary, as an administrator writes it."""
    passfile = next(h2.secrets.rglob("pgstandby1.pgpass"))
    return f"host=10.20.20.1 user=standfast_monitor dbname=standfast passfile={passfile}"


def of_standby(h1):
    """How the primary's host reaches the standby."""
    passfile = next(h1.secrets.rglob("primary.pgpass"))
    return f"host=10.20.20.2 user=standfast_monitor dbname=standfast passfile={passfile}"


def write_wal(h1, kilobytes=300):
    h1.psql(f"INSERT INTO t SELECT generate_series(1, {kilobytes * 14})")


def assert_well(h1, h2):
    wait_for_replay(h1, h2)
    for host in (h1, h2):
        wait_until(lambda host=host: status(host).code == 0, 60, f"a good status on {host.name}")


@contextlib.contextmanager
def setting(host, name, value, wait=0.3):
    host.psql(f"ALTER SYSTEM SET {name} = '{value}'")
    host.psql(f"SELECT pg_reload_conf(), pg_sleep({wait})")
    try:
        yield
    finally:
        host.psql(f"ALTER SYSTEM RESET {name}")
        host.psql(f"SELECT pg_reload_conf(), pg_sleep({wait})")


@contextlib.contextmanager
def paused(h2):
    h2.psql("SELECT pg_wal_replay_pause()")
    wait_until(lambda: h2.psql("SELECT pg_get_wal_replay_pause_state()") == "paused", 60, "the paused replay")
    try:
        yield
    finally:
        h2.psql("SELECT pg_wal_replay_resume()")


def server_processes(host, title):
    found = []
    for pid in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if title in (pid / "cmdline").read_text() and os.stat(pid / "ns/net").st_ino == os.stat(
                    f"/run/netns/{host.namespace}").st_ino:
                found.append(int(pid.name))
    return found


@contextlib.contextmanager
def stuck_replay(h2):
    """The startup process does nothing at all, and nothing says that it is meant so."""
    pid, = server_processes(h2, "startup recovering")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def stopped(h2):
    h2.standfast("standby", "stop", "-D", h2.data).expect(0)
    try:
        yield
    finally:
        h2.standfast("standby", "start", "-D", h2.data).expect(0)


@contextlib.contextmanager
def quiet(host):
    """Nothing is written but what the test writes: no running transactions, no checkpoint, no autovacuum."""
    with setting(host, "autovacuum", "off"):
        workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"
        wait_until(lambda: host.psql(workers) == "0", 60, "the end of autovacuum")
        pids = [int(pid) for pid in host.psql("SELECT pid FROM pg_stat_activity WHERE backend_type IN "
                                              "('background writer', 'checkpointer')").splitlines()]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def frozen(host):
    """A server that takes connections and answers none of them."""
    pid = int((host.data / "postmaster.pid").read_text().split("\n", maxsplit=1)[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def connections(host, to):
    """Those that are whole; one that is being closed would go while another is waited for."""
    whole = ["ss", "-Htn", "state", "established", "dst", f"{to.address}:{to.server_socket()[0]}"]
    return len(host.run(whole, user="root").out.splitlines())


@pytest.mark.parametrize("command", ["status", "verify"])
def test_ctrl_c_while_the_other_side_is_asked_is_told_as_such(joined, command):
    """What could not be asked because of it is not judged as if it had not answered."""
    h1, h2 = joined
    asking, asked = (h2, h1) if command == "status" else (h1, h2)
    before = connections(asking, asked)
    with frozen(asked):
        running = asking.start(asking.standfast_command(command, "-D", asking.data))
        wait_until(lambda: connections(asking, asked) > before or not running.alive, 60, "a connection")
        running.signal(signal.SIGINT)
        running.wait(60).expect(CANCELLED)
    assert_well(h1, h2)


def test_pair_that_is_well(joined):
    h1, h2 = joined
    assert_well(h1, h2)
    for host in joined:
        report = status(host, "--output", "json").expect(0).json()
        assert sorted(member["role"] for member in report["members"]) == ["primary", "standby"]
        standby = next(member for member in report["members"] if member["role"] == "standby")
        assert standby["state"] == "streaming" and standby["slot"]["name"] == "pgstandby1"
        assert verify(host, "--output", "json").expect(0).json()["marker_ms"] >= 0
    both = h2.standfast("status", "-d", of_primary(h2), "-D", h2.data).expect(0).out
    assert "primary" in both and "standby" in both


def test_idle_pair_shows_no_false_lag(joined):
    h1, h2 = joined
    with quiet(h1):  # what is written while it is looked at is lag for a moment, and no false one
        write_wal(h1)
        wait_for_replay(h1, h2)
        time.sleep(1.5)
        for host in joined:
            for limit in ("1", "500ms"):
                status(host, "--max-lag", limit).expect(0)
            for member in status(host, "--output", "json").expect(0).json()["members"]:
                assert not member.get("lag_bytes"), member


def test_lag_past_the_limit(joined):
    h1, h2 = joined
    # How often the standby tells the primary where it is: the primary knows of the time only by that.
    with setting(h2, "wal_receiver_status_interval", "1s"), paused(h2):
        write_wal(h1)
        for host in joined:
            status(host).expect(0)
            judged(status(host, "--max-lag", "100kB"), LAGGING, "pgstandby1", "behind")
            wait_until(lambda host=host: status(host, "--max-lag", "1s").code == LAGGING, 60, "the lag in time")
            for limit in ("1GB", "1h"):
                status(host, "--max-lag", limit).expect(0)
            report = status(host, "--max-lag", "100kB", "--output", "json").expect(LAGGING).json()
            assert any((member.get("lag_bytes") or 0) > 100_000 for member in report["members"])
    assert_well(h1, h2)


@pytest.mark.parametrize("limit", ["", "ten", "5 parsecs", "-1", "1XB"])
def test_limit_that_is_none_is_refused(joined, limit):
    status(joined[0], "--max-lag", limit).expect_error(2, "hint: ")


def test_paused_replay_has_its_own_verdict(joined):
    h1, h2 = joined
    with paused(h2):
        for host in joined:
            judged(verify(host, *PATIENT), PAUSED, "paused", "pg_wal_replay_resume")
    assert_well(h1, h2)
    verify(h1).expect(0)


def test_primary_that_may_not_ask_the_standby_says_who_can(joined):
    h1, h2 = joined
    admit_monitor(h2, False)
    try:
        verify(h1).expect(0)
        with paused(h2):
            judged(verify(h1, "--timeout", "2"), NOT_REPLICATING, 'Run "standfast verify" on the standby')
    finally:
        admit_monitor(h2)
    assert_well(h1, h2)


def test_delayed_replay_has_its_own_verdict(joined):
    h1, h2 = joined
    with setting(h2, "recovery_min_apply_delay", "1h"):
        for host in joined:
            judged(verify(host, *PATIENT), DELAYED, "recovery_min_apply_delay")
    assert_well(h1, h2)


def test_replay_that_is_stuck_is_not_replicating(joined):
    h1, h2 = joined
    with stuck_replay(h2):
        for host in joined:
            judged(verify(host, "--timeout", "2"), NOT_REPLICATING)
    assert_well(h1, h2)
    verify(h1).expect(0)
    assert h1.psql("SELECT count(*) FROM standfast.marker", database="standfast") == "0"


def test_what_a_killed_verify_left_is_removed_by_the_next(joined):
    h1, h2 = joined
    with stuck_replay(h2):
        running = h1.start(h1.standfast_command("verify", "-D", h1.data))
        wait_until(lambda: h1.psql("SELECT count(*) FROM standfast.marker", database="standfast") == "1", 60, "the marker")
        running.signal(signal.SIGKILL)
        running.wait()
        assert h1.psql("SELECT count(*) FROM standfast.marker", database="standfast") == "1"
    verify(h1).expect(0)
    assert h1.psql("SELECT count(*) FROM standfast.marker", database="standfast") == "0"


def demo_exists(host):
    return host.psql("SELECT count(*) FROM pg_database WHERE datname = 'replica_demo'") == "1"


def test_replica_demo_of_a_killed_verify_is_removed_by_the_next(joined):
    """Killed while the server makes it, which the server then does to its end."""
    h1, h2 = joined

    def databases():
        return {path.name for path in (h1.data / "base").iterdir() if path.name.isdigit()}

    before = databases()
    running = h1.start(h1.standfast_command("verify", "-D", h1.data, "--create-database"))
    while databases() == before:
        assert running.alive, running.wait()
    running.signal(signal.SIGKILL)
    running.wait().expect(-signal.SIGKILL)
    wait_until(lambda: demo_exists(h1), 60, "the database that the server still makes")
    verify(h1, "--create-database").expect(0)
    assert not demo_exists(h1)
    assert_well(h1, h2)


def test_second_verify_leaves_the_database_of_the_first(joined):
    h1, h2 = joined
    with stuck_replay(h2):
        first = h1.start(h1.standfast_command("verify", "-D", h1.data, "--create-database", "--timeout", "40"))
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1399211106"
        wait_until(lambda: h1.psql(held, database="standfast") == "1", 60, "the lock of the first")
        port, folder = h1.server_socket()
        h1.standfast("verify", "-d", f"host={folder} port={port} dbname=standfast", "--create-database").expect_error(
            20, "replica_demo", "hint: ")
        assert first.alive
    first.wait().expect(0)
    assert not demo_exists(h1)
    assert_well(h1, h2)


def test_interrupted_verify_takes_its_marker_away(joined):
    h1, h2 = joined
    with stuck_replay(h2):
        running = h1.start(h1.standfast_command("verify", "-D", h1.data))
        wait_until(lambda: h1.psql("SELECT count(*) FROM standfast.marker", database="standfast") == "1", 60, "the marker")
        running.signal(signal.SIGINT)
        running.wait().expect(4)
        assert h1.psql("SELECT count(*) FROM standfast.marker", database="standfast") == "0"
    assert_well(h1, h2)


def test_replica_demo_of_someone_else_is_not_dropped(joined):
    h1, h2 = joined
    h1.psql("CREATE DATABASE replica_demo")
    h1.psql("CREATE TABLE precious AS SELECT 1 AS one", database="replica_demo")
    verify(h1, "--create-database").expect_error(10, "replica_demo", "hint: ")
    assert h1.psql("SELECT one FROM precious", database="replica_demo") == "1"
    verify(h1).expect(0)
    h1.psql("DROP DATABASE replica_demo")
    verify(h1, "--create-database").expect(0)
    assert not demo_exists(h1)
    assert_well(h1, h2)


def slot_is_active(h1):
    return h1.psql("SELECT active FROM pg_replication_slots WHERE slot_name = 'pgstandby1'")


def test_stopped_standby(joined):
    h1, h2 = joined
    with stopped(h2):
        write_wal(h1)
        wait_until(lambda: slot_is_active(h1) == "f", 60, "the end of the stream")
        judged(status(h1), SLOT_INACTIVE, "pgstandby1", "not in use", "pg_drop_replication_slot")
        slot = next(member for member in status(h1, "--output", "json").json()["members"] if member.get("slot"))["slot"]
        assert slot["active"] is False and slot["held_bytes"] > 100_000
        judged(status(h1, "-d", of_standby(h1)), UNREACHABLE, "10.20.20.2")
        judged(verify(h1, "--timeout", "3"), NOT_STREAMING)
        status(h2).expect_error(UNREACHABLE, "is not running", "hint: ", "standby start")
    assert_well(h1, h2)


def test_standby_that_does_not_receive(joined):
    h1, h2 = joined
    kept = h2.psql("SHOW primary_conninfo")
    h2.psql("ALTER SYSTEM SET primary_conninfo = 'host=10.20.20.1 port=5499'")
    h2.psql("SELECT pg_reload_conf(), pg_sleep(0.3)")
    try:
        write_wal(h1)
        wait_until(lambda: h1.psql("SELECT count(*) FROM pg_stat_replication") == "0" and slot_is_active(h1) == "f", 60,
                   "the end of the stream")
        judged(status(h1), SLOT_INACTIVE, "pgstandby1")
        judged(status(h2), NOT_STREAMING, "not streaming")
        judged(status(h2, "-d", of_primary(h2)), NOT_STREAMING, "not streaming")
        judged(verify(h2, "-d", of_primary(h2), "--timeout", "3"), NOT_STREAMING)
    finally:
        h2.psql("ALTER SYSTEM SET primary_conninfo = '" + kept.replace("'", "''") + "'")
        h2.psql("SELECT pg_reload_conf(), pg_sleep(0.3)")
    steps.wait_for_active_slot(h1)
    assert_well(h1, h2)


def test_unplugged_standby_is_unreachable(joined):
    h1, h2 = joined
    network = h1.network
    network.link_down(h2)
    try:
        asked = judged(status(h1, "-d", of_standby(h1)), UNREACHABLE, "10.20.20.2")
        assert asked.seconds < 40, "and not as long as the kernel tries"
    finally:
        network.link_up(h2)
    assert_well(h1, h2)


def test_primary_that_was_named_and_is_out_of_reach_is_a_finding(joined):
    """Though the standby streams and says so."""
    _, h2 = joined
    gone = "host=10.20.20.1 port=5499 dbname=postgres"
    judged(status(h2, "-d", gone), UNREACHABLE, "10.20.20.1", "5499")


def test_no_server_answers(joined):
    h1, _ = joined
    h1.standfast("status", "-d", "host=10.20.20.1 port=5499 dbname=postgres").expect_error(6, "refused", "hint: ")
    h1.standfast("status", "-d", "host=10.20.20.2 dbname=postgres user=nobody_here").expect_error(7, "pg_hba.conf", "hint: ")


def test_detail_shows_no_password(joined):
    """Also where the password stands in primary_conninfo itself, as pg_basebackup -R writes it."""
    h1, h2 = joined
    kept = h2.psql("SHOW primary_conninfo").replace("'", "''")

    def receiver():
        return h2.psql("SELECT pid FROM pg_stat_wal_receiver WHERE status = 'streaming'")

    def wait_for_another(before):
        wait_until(lambda: receiver() not in ("", before), 60, "the stream again")

    password = next(line.split(":")[4] for line in next(h2.secrets.rglob("*.pgpass")).read_text().splitlines()
                    if ":replicator:" in line)
    with setting(h2, "log_min_messages", "panic"):  # the server logs the new value of a setting
        first = receiver()
        try:
            h2.run(["psql", "-Xq", "-h", h2.server_socket()[1], "-d", "postgres"], record=False,
                   stdin=f"ALTER SYSTEM SET primary_conninfo = '{kept} password={password}'; "
                         "SELECT pg_reload_conf(), pg_sleep(0.5)").expect(0)
            wait_for_another(first)
            for host in joined:
                for options in ([], ["--output", "json"]):
                    shown = host.run(host.standfast_command("status", "-D", host.data, "--detail", *options), record=False)
                    assert shown.code == 0 and password not in shown.out + shown.err
                assert "pg_stat_wal_receiver" in shown.out or host is h1
        finally:
            second = receiver()
            h2.psql(f"ALTER SYSTEM SET primary_conninfo = '{kept}'")
            h2.psql("SELECT pg_reload_conf(), pg_sleep(0.5)")
            wait_for_another(second)  # until then the old one makes a good status
    assert_well(h1, h2)


def test_watch_shows_again_until_interrupted(joined):
    h1, h2 = joined
    terminal = h1.terminal(h1.standfast_command("status", "-D", h1.data, "--watch", "0.2"))
    for _ in range(3):
        terminal.expect("all is well")
    with stopped(h2):
        terminal.expect("slot_inactive")
        terminal.interrupt()
        terminal.finish().expect(SLOT_INACTIVE)  # the last verdict
    assert_well(h1, h2)


def test_watch_gives_a_json_object_a_line_and_ends_with_its_reader(joined):
    h1, _ = joined
    command = " ".join(h1.standfast_command("status", "-D", h1.data, "--watch", "0.1", "--output", "json"))
    done = h1.run(["sh", "-c", f"{command} | head -n 3"]).expect(0)
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["verdict"] for line in lines] == ["ok"] * 3
    # In the background of a shell, SIGINT is ignored before the program says otherwise.
    shown = h1.home / "shown"
    done = h1.run(["sh", "-c", f"{command} > {shown} & pid=$!; until [ -s {shown} ]; do sleep 0.1; done; "
                               "kill -INT $pid; wait $pid; echo code $?"])
    assert done.expect(0).out.splitlines()[-1] in ("code 0", "code 130"), done


# ---------------------------------------------------------------- a server alone


@pytest.fixture
def alone(network):
    return Cluster(network.host("h1", "10.20.20.1"), DEBIAN).init().start()


def test_slots_of_a_server_alone(alone):
    host = alone.host
    judged(status(host), NOT_STREAMING, "no standby is attached")
    host.psql("SELECT pg_create_physical_replication_slot('never_used')")
    judged(status(host), NOT_STREAMING, "no standby is attached")
    host.psql("SELECT pg_create_physical_replication_slot('reserved', true)")
    host.psql("CREATE TABLE t AS SELECT generate_series(1, 10000)")
    judged(status(host), SLOT_INACTIVE, '"reserved"')
    host.psql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    host.psql("SELECT pg_reload_conf(), pg_sleep(0.2)")
    for _ in range(3):
        host.psql("INSERT INTO t VALUES (1)")
        host.psql("SELECT pg_switch_wal()")
    host.psql("CHECKPOINT")
    assert host.psql("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'reserved'") == "lost"
    judged(status(host), SLOT_LOST, '"reserved"', "has lost WAL")
    judged(verify(host, "--timeout", "2"), NOT_STREAMING)


def test_role_that_may_not_see_is_told_so(alone):
    host = alone.host
    host.psql("CREATE ROLE plain LOGIN")
    port, folder = host.server_socket()
    host.start([DEBIAN.program("pg_receivewal"), "-h", folder, "-p", port, "-D", host.home])
    wait_until(lambda: host.psql("SELECT state FROM pg_stat_replication") == "streaming", 60, "a sender")
    judged(status(host, "-U", "plain"), 5, "hides the state of replication", "pg_monitor")


def test_stopped_primary_is_told(alone):
    alone.stop()
    status(alone.host).expect_error(10, "no server runs", "hint: ")
    verify(alone.host).expect_error(10, "no server runs", "hint: ")
