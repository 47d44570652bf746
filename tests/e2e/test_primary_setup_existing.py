"""`primary setup` on what an administrator already has: Debian's clusters, odd names and passwords, another run that
goes on, is interrupted or was killed, and settings that do not want to."""

import signal

import pytest

from harness import steps, tokens
from harness.binaries import DEBIAN, npm
from harness.cluster import Cluster
from harness.state import assert_unchanged, state_of
from harness.waiting import wait_until

STANDBY = "10.20.20.2"


def set_up(host, *options, data=None, standby=STANDBY, **more):
    return host.standfast("primary", "setup", "-D", data or host.data, "--standby", standby, *options, **more)


@pytest.fixture
def server(network):
    return Cluster(network.host("h1", "10.20.20.1"), DEBIAN).init().configure(listen_addresses="'*'").start()


def logs_in(host, token, *, replication=True):
    """With what the token says, from this host: its own address is let in by a line of its own, behind all others."""
    fields = tokens.decode(token)
    path = host.data / "pg_hba.conf"
    lines = "host replication all 10.20.20.1/32 scram-sha-256\nhost standfast all 10.20.20.1/32 scram-sha-256\n"
    if lines not in path.read_text():
        path.write_text(path.read_text() + lines)
        host.psql("SELECT pg_reload_conf(), pg_sleep(0.3)")
    user, password = (fields["u"], fields["w"]) if replication else (fields["mu"], fields["mw"])
    database = "replication=true" if replication else f"dbname={fields['md']}"
    done = host.run([DEBIAN.program("psql"), "-h", host.address, "-d", database, "-c",
                     "IDENTIFY_SYSTEM" if replication else "SELECT 1"],
                    env={"PGPASSWORD": password, "PGUSER": user}, record=False)
    return done.code == 0


def token_of(host, slot="pgstandby1"):
    return next(host.secrets.rglob(f"{slot}.token")).read_text()


# ---------------------------------------------------------------- Debian's own clusters

_DEBIAN_DATA = "/var/lib/postgresql/15/main"


def debian_cluster(host):
    """As the package makes it: configuration in /etc, the socket in /run, and the log in /var/log."""
    host.run(["pg_createcluster", "15", "main"]).expect(0)
    return host.home / "15" / "main"


@pytest.mark.parametrize("user", ["postgres", "root"])
def test_pair_of_debians_own_clusters(pair, user):
    h1, h2 = pair
    data = debian_cluster(h1)
    h1.run(["pg_ctlcluster", "15", "main", "start"]).expect(0)
    as_user = {"user": user, "env": {"STANDFAST_HOME": None}}
    setup = set_up(h1, "--restart", data=_DEBIAN_DATA, **as_user).expect(0)
    assert "standfast join -D" in setup.out
    etc = h1.folder / "etc" / "15" / "main"
    assert "BEGIN standfast" in (etc / "pg_hba.conf").read_text() and not (data / "pg_hba.conf").exists()
    assert h1.psql("SHOW listen_addresses", data=data) == "*"
    assert h1.psql("SHOW config_file", data=data) == "/etc/postgresql/15/main/postgresql.conf"
    again = set_up(h1, data=_DEBIAN_DATA, **as_user).expect(0)
    assert "nothing was changed" in again.out

    debian_cluster(h2)
    token = h2.write("token", token_of(h1))
    joined = h2.standfast("join", "-D", _DEBIAN_DATA, "--replace", "--token-file", token, timeout=120, **as_user).expect(0)
    assert "hot standby" in joined.out
    standby_data = h2.home / "15" / "main"
    assert h2.psql("SELECT status FROM pg_stat_wal_receiver", data=standby_data) == "streaming"
    assert h2.psql("SHOW config_file", data=standby_data) == "/etc/postgresql/15/main/postgresql.conf"
    h2.standfast("verify", "-D", _DEBIAN_DATA, **as_user).expect(0)
    # And Debian's own programs know it.
    assert "online,recovery" in h2.run(["pg_lsclusters", "-h"]).expect(0).out


# ---------------------------------------------------------------- a new cluster


def test_init_twice_makes_one_cluster(pair):
    h1, h2 = pair
    steps.set_up_primary(h1, h2)
    before = state_of(h1)
    steps.set_up_primary(h1, h2)
    assert_unchanged(before, state_of(h1))


def test_init_does_not_touch_a_folder_of_something_else(network):
    host = network.host("h1", "10.20.20.1")
    host.run(["mkdir", host.data]).expect(0)
    host.write("pg/data/thesis.txt", "years of work")
    set_up(host, "--init").expect_error(10, str(host.data), "hint: ")
    assert (host.data / "thesis.txt").read_text() == "years of work"
    assert [path.name for path in host.cluster_folder.rglob("*")] == ["data", "thesis.txt"]


def test_init_where_the_port_is_taken(network):
    host = network.host("h1", "10.20.20.1")
    other = Cluster(host, DEBIAN, data=host.home / "other").init().start()
    set_up(host, "--init").expect_error(20, "port 5432 is taken", "hint: ", "--port")
    assert not list(host.cluster_folder.iterdir()) and not host.secrets.exists()
    assert other.running


# ---------------------------------------------------------------- odd names and passwords


@pytest.mark.parametrize("role", ["Replicator", 'rep "li" cator', "re:pli\\ca'tor", "répliquer", "select", "all", "replication"])
def test_role_name_of_any_kind(server, role):
    host = server.host
    set_up(host, "--replication-role", role).expect(0)
    assert host.psql("SELECT rolname FROM pg_roles WHERE rolreplication AND NOT rolsuper") == role
    assert logs_in(host, token_of(host)) and logs_in(host, token_of(host), replication=False)
    before = state_of(host)
    set_up(host).expect(0)
    assert_unchanged(before, state_of(host))


@pytest.mark.parametrize("password", ["p:a\\s's w\"o%rd$1", "=equals and spaces=", "#hash{}[]~`|&;<>"])
def test_password_of_any_kind(server, password):
    host = server.host
    set_up(host, "--password-file", host.write("given", password + "\n")).expect(0)
    assert tokens.decode(token_of(host))["w"] == password
    assert logs_in(host, token_of(host))


UNFIT = {"empty": "", "blank": "\n", "not_ascii": "\u00fcml\u00e4ut\n", "blank_before": " blank-before\n",
         "blank_after": "blank-after \n", "tab": "tab\there\n", "too_long": "x" * 300}


@pytest.mark.parametrize("text", UNFIT.values(), ids=UNFIT)
def test_password_that_cannot_be_used_is_refused(server, text):
    host = server.host
    before = state_of(host)
    refused = set_up(host, "--password-file", host.write("given", text))
    refused.expect_error(2, "hint: ")
    assert not text.strip() or text.strip() not in refused.err
    assert_unchanged(before, state_of(host))


# ---------------------------------------------------------------- two runs, an interrupted run, a killed run


def ask_for_restart(host):
    terminal = host.terminal(host.standfast_command("primary", "setup", "-D", host.data, "--standby", STANDBY),
                             record=False)
    terminal.expect(r"(?i)restart.*\? ")
    return terminal


def test_second_run_at_the_same_time_is_refused(server):
    host = server.stop().configure(listen_addresses="'localhost'").start().host
    first = ask_for_restart(host)
    set_up(host, "--restart").expect_error(20, "another", "hint: ", "Wait until it is done")
    set_up(host, "--dry-run").expect(0)  # which may look
    first.send_line("y")
    first.finish().expect(0)


def test_interrupted_before_the_first_change_nothing_changed(server):
    host = server.stop().configure(listen_addresses="'localhost'").start().host
    before = state_of(host)
    terminal = ask_for_restart(host)
    terminal.interrupt()
    terminal.finish().expect(4)
    assert_unchanged(before, state_of(host))


def kill_after(running, seconds):
    """True when it was still at work then."""
    try:
        wait_until(lambda: not running.alive, seconds, "")
    except AssertionError:
        running.signal(signal.SIGKILL)
    return running.wait().code == -signal.SIGKILL


def test_killed_run_is_finished_by_the_next(server):
    """Wherever it is killed: the roles, the stored passwords and pg_hba.conf fit together after the next run."""
    host = server.host
    killed = 0
    for delay_seconds in (0.05, 0.1, 0.15, 0.2, 0.3, 0.45):
        for what in ("DATABASE IF EXISTS standfast", "ROLE IF EXISTS replicator", "ROLE IF EXISTS standfast_monitor"):
            host.psql(f"DROP {what}")
        killed += kill_after(host.start(host.standfast_command("primary", "setup", "-D", host.data, "--standby", STANDBY)),
                             delay_seconds)
        set_up(host).expect(0)
        assert (host.data / "pg_hba.conf").read_text().count("BEGIN standfast") == 1
        assert logs_in(host, token_of(host)) and logs_in(host, token_of(host), replication=False)
        assert not list(host.secrets.rglob("*.next"))
    assert killed, "it was too quick to be killed, so nothing was proved"


def test_killed_rotation_is_finished_by_the_next(server):
    host = server.host
    set_up(host).expect(0)
    for delay_seconds in (0.08, 0.16, 0.24, 0.32):
        kill_after(host.start(host.standfast_command("primary", "setup", "-D", host.data, "--rotate-password")), delay_seconds)
        set_up(host).expect(0)
        assert logs_in(host, token_of(host)) and logs_in(host, token_of(host), replication=False)
        assert not list(host.secrets.rglob("*.next"))


# ---------------------------------------------------------------- settings that do not want to


def test_server_that_forbids_alter_system_gets_the_lines_to_set(network):
    host = network.host("h1", "10.20.20.1")
    Cluster(host, npm(18)).init().configure(allow_alter_system="off").start()
    before = state_of(host)
    set_up(host, "--restart", "--pg-bin", npm(18)).expect_error(10, "does not allow ALTER SYSTEM", "hint: ",
                                                                "listen_addresses = ")
    assert_unchanged(before, state_of(host))


def test_restart_that_fails_tells_why_and_the_server_runs_as_before(network):
    host = network.host("h1", "10.20.20.1")
    server = Cluster(host, DEBIAN).init().start()
    hba = (host.data / "pg_hba.conf").read_text()
    # What the administrator prepared for the next start, and will not work.
    server.configure(shared_preload_libraries="'no_such_library'")
    failed = set_up(host, "--restart")
    failed.expect_error(19, "the restart failed", "no_such_library", "hint: ", "The server runs again")
    assert host.psql("SHOW listen_addresses") == "localhost" and host.psql("SHOW shared_preload_libraries") == ""
    assert (host.data / "pg_hba.conf").read_text() == hba
    assert not list(host.secrets.rglob("*.token"))
    set_up(host, "--restart").expect(0)
    assert host.psql("SHOW listen_addresses") == "*"
