"""Clusters as the packages lay them out: Debian's, with the configuration in /etc, and PGDG's, with a systemd unit.
Where a cluster is found without being named, by what it is started, and what of its host a standby keeps."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from harness import steps
from harness.binaries import DEBIAN
from harness.cluster import Cluster
from harness.systemd import Systemd, pgdg_folder
from harness.waiting import wait_until

AS_ROOT = {"user": "root", "env": {"STANDFAST_HOME": None}}
AS_OWNER = {"user": "postgres", "env": {"STANDFAST_HOME": None}}
MAIN = "/var/lib/postgresql/15/main"
USAGE = 2


def make_cluster(host, name="main", *options, start=False):
    """As the package makes it; nothing of it is prepared for replication."""
    host.run(["pg_createcluster", *options, "15", name]).expect(0)
    if start:
        host.run(["pg_ctlcluster", "15", name, "start"]).expect(0)
    return host.home / "15" / name


def etc(host, name="main"):
    return host.folder / "etc" / "15" / name


def lsclusters(host):
    """Debian's own list: name, port, status."""
    lines = host.run(["pg_lsclusters", "-h"]).expect(0).out.splitlines()
    return [tuple(line.split()[1:4]) for line in lines]


def is_copied(folder):
    """Whether the first database lies somewhere below it. By what passes over folders that are renamed meanwhile."""
    return any(path.endswith("/base/1") and "PG_VERSION" in names for path, _, names in os.walk(folder))


def carry_token(h1, h2, user="postgres"):
    (token,) = h1.secrets.rglob("pgstandby1.token")
    return h2.write("token", token.read_text(), user=user)


# ---------------------------------------------------------------- Debian


@pytest.mark.parametrize("who", [AS_ROOT, AS_OWNER], ids=["root", "postgres"])
def test_seed_on_debian_without_naming_a_directory(pair, who):
    """The whole way: pg_createcluster's cluster on the one side, nothing on the other, and no -D anywhere."""
    h1, h2 = pair
    data = make_cluster(h1, start=True)
    hba_before = (etc(h1) / "pg_hba.conf").read_text()
    setup = h1.standfast("primary", "setup", "--standby", h2.address, "--restart", timeout=180, **who).expect(0)
    assert f"found PostgreSQL 15 (Debian's 15/main) in {MAIN}, port 5432, running" in setup.out
    assert (etc(h1) / "pg_hba.conf").read_text().startswith(hba_before)
    assert not (data / "pg_hba.conf").exists()
    h1.psql("ALTER SYSTEM SET max_connections = 137", data=data)
    h1.psql("ALTER SYSTEM SET max_worker_processes = 11", data=data)
    h1.run(["pg_ctlcluster", "15", "main", "restart"]).expect(0)

    token = carry_token(h1, h2)
    planned = h2.standfast("join", "--token-file", token, "--dry-run", **who).expect(0)
    assert "would make it Debian's cluster 15/main: /usr/bin/pg_createcluster" in planned.out
    assert lsclusters(h2) == [] and not (h2.home / "15").exists()
    joined = h2.standfast("join", "--token-file", token, timeout=180, **who).expect(0)
    assert f"the cluster is Debian's 15/main, in {MAIN}" in joined.out
    assert "started with: pg_ctlcluster 15 main start" in joined.out

    standby = h2.home / "15" / "main"
    assert h2.psql("SELECT status FROM pg_stat_wal_receiver", data=standby) == "streaming"
    assert h2.psql("SHOW config_file", data=standby) == "/etc/postgresql/15/main/postgresql.conf"
    assert h2.psql("SHOW hba_file", data=standby) == "/etc/postgresql/15/main/pg_hba.conf"
    assert lsclusters(h2) == [("main", "5432", "online,recovery")]
    assert (etc(h2) / "start.conf").read_text().strip().endswith("auto")
    assert "standfast" not in (etc(h2) / "pg_hba.conf").read_text()
    assert h2.psql("SHOW max_connections", data=standby) == "137"
    assert h2.psql("SHOW max_worker_processes", data=standby) == "11"
    assert sorted(path.name for path in standby.parent.iterdir()) == ["main"]

    # As an init script does after a reboot: Debian's own programs stop it and start it again.
    h2.run(["pg_ctlcluster", "15", "main", "stop"]).expect(0)
    h2.standfast("standby", "start", **who).expect(0)
    h2.standfast("verify", **who).expect(0)
    assert h2.standfast("status", "--output", "json", **who).expect(0).json()["members"]
    h2.standfast("standby", "stop", **who).expect(0)
    assert lsclusters(h2) == [("main", "5432", "down,recovery")]


def test_init_on_debian_makes_a_cluster_that_debian_knows(pair):
    h1, h2 = pair
    setup = h1.standfast("primary", "setup", "--init", "--standby", h2.address, timeout=180, **AS_ROOT).expect(0)
    assert f"the cluster is Debian's 15/main, in {MAIN}" in setup.out
    data = h1.home / "15" / "main"
    assert lsclusters(h1) == [("main", "5432", "online")]
    assert h1.psql("SHOW data_checksums", data=data) == "on" and h1.psql("SHOW ssl", data=data) == "on"
    assert h1.psql("SHOW config_file", data=data) == "/etc/postgresql/15/main/postgresql.conf"
    again = h1.standfast("primary", "setup", "--init", "--standby", h2.address, **AS_ROOT).expect(0)
    assert "nothing was changed" in again.out
    # Another one beside it, by its name alone.
    h1.standfast("primary", "setup", "--init", "--cluster", "15/second", "-p", "5433", "--standby", h2.address,
                 timeout=180, **AS_ROOT).expect(0)
    assert lsclusters(h1) == [("main", "5432", "online"), ("second", "5433", "online")]
    assert sorted(path.name for path in data.parent.iterdir()) == ["main", "second"]
    # And one of Debian's in a place of one's own.
    h1.standfast("primary", "setup", "--init", "--cluster", "15/third", "-D", h1.data, "-p", "5434", "--standby",
                 h2.address, timeout=180, **AS_ROOT).expect(0)
    assert lsclusters(h1)[2] == ("third", "5434", "online") and not (h1.data / "postgresql.conf").exists()


def test_killed_init_is_finished_by_the_next(pair):
    """Wherever it is killed, one whole cluster is there after the next run; pg_createcluster itself may live on."""
    h1, h2 = pair
    init = ["primary", "setup", "--init", "--standby", h2.address]
    killed = 0
    for seconds in (0.1, 0.5, 1.0, 1.8):
        running = h1.start(h1.standfast_command(*init), env=AS_OWNER["env"])
        try:
            wait_until(lambda: not running.alive, seconds, "")
        except AssertionError:
            running.signal(signal.SIGKILL)
        killed += running.wait().code == -signal.SIGKILL
        if (h1.home / "15" / "main" / "postmaster.opts").exists():
            break  # it got as far as the start; what comes then is another test's
    assert killed >= 2
    h1.standfast(*init, "--restart", timeout=180, **AS_OWNER).expect(0)
    assert lsclusters(h1) == [("main", "5432", "online")]
    assert sorted(path.name for path in (h1.home / "15").iterdir()) == ["main"]
    assert h1.psql("SHOW listen_addresses", data=h1.home / "15" / "main") == "*"


def test_init_waits_for_a_drop_that_a_killed_run_left_at_work(pair):
    """It would drop what this run makes."""
    h1, h2 = pair
    init = ["primary", "setup", "--init", "--standby", h2.address]
    real = h1.write("pg_dropcluster", Path("/usr/bin/pg_dropcluster").read_text(), mode=0o755)
    held = h1.write("held", "")
    h1.bind("/usr/bin/pg_dropcluster", h1.write(
        "dropcluster", "#!/bin/sh\n[ -e /tmp/dropping ] || { touch /tmp/dropping\n"
        f"while [ -e {held} ]; do sleep 0.1; done; }}\nexec {real} \"$@\"\n", mode=0o755))
    for reached in (etc(h1), h1.folder / "tmp" / "dropping"):
        running = h1.start(h1.standfast_command(*init), env=AS_OWNER["env"])
        wait_until(lambda: reached.exists() or not running.alive, 60, reached)
        running.signal(signal.SIGKILL)
        assert running.wait().code == -signal.SIGKILL
    running = h1.start(h1.standfast_command(*init, "--restart"), env=AS_OWNER["env"])
    with pytest.raises(AssertionError, match="waited in vain"):
        wait_until(lambda: not etc(h1).exists() or not running.alive, 3, "waited in vain")
    held.unlink()
    running.wait(180).expect(0)
    assert lsclusters(h1) == [("main", "5432", "online")]


@pytest.mark.parametrize("place", ["folder", "mount point"])
def test_plain_primary_and_debian_standby_in_an_empty_place(pair, place):
    """The copy brings the primary's own files along; the standby's are Debian's. What was there before the first run is
    there after it."""
    h1, h2 = pair
    steps.set_up_primary(h1, h2)
    versions = h2.home / "15"
    h2.run(["mkdir", "-p", "-m", "755", "/var/lib/postgresql/15"]).expect(0)
    h2.run(["mkdir", "-m", "700", MAIN]).expect(0)
    if place == "mount point":
        h2.tmpfs(versions / "main", 300)
    running = h2.start(h2.standfast_command("join", "--token-file", carry_token(h1, h2), "-r", "1M"), env=AS_OWNER["env"])
    wait_until(lambda: not list(versions.glob("*.standfast-create")) and is_copied(versions)
               and etc(h2).exists(), 120, "the copy to be on its way")
    running.signal(signal.SIGINT)
    assert running.wait().code == 4
    assert [path.name for path in versions.rglob("*")] == ["main"]
    assert lsclusters(h2) == []
    joined = h2.standfast("join", "--token-file", h2.folder / "token", timeout=180, **AS_OWNER).expect(0)
    assert "its postgresql.conf and pg_hba.conf are those of this host, in /etc/postgresql/15/main" in joined.out
    data = versions / "main"
    assert (data / "postgresql.conf").exists() and data.is_mount() == (place == "mount point")
    assert h2.psql("SHOW config_file", data=data) == "/etc/postgresql/15/main/postgresql.conf"
    assert lsclusters(h2) == [("main", "5432", "online,recovery")]


def test_init_anywhere_else_is_plain(pair):
    h1, h2 = pair
    steps.set_up_primary(h1, h2)
    assert lsclusters(h1) == [] and (h1.data / "postgresql.conf").exists()


@pytest.fixture
def debian_primary(pair):
    """A prepared primary, and the token at a second host that has no cluster."""
    h1, h2 = pair
    make_cluster(h1, start=True)
    h1.standfast("primary", "setup", "--standby", h2.address, "--restart", timeout=180, **AS_OWNER).expect(0)
    return h1, h2, carry_token(h1, h2)


def test_standby_keeps_the_configuration_of_its_host(debian_primary):
    """Port, rules and settings of the cluster that was there; only what must not be lower is raised, and only then."""
    h1, h2, token = debian_primary
    make_cluster(h2, "main", "-p", "5499")
    conf = etc(h2) / "postgresql.conf"
    conf.write_text(conf.read_text() + "work_mem = '7MB'\nmax_connections = 10\nmax_wal_senders = 3\n"
                    "max_locks_per_transaction = 999\n")
    hba = etc(h2) / "pg_hba.conf"
    hba.write_text(hba.read_text() + "# of this host\nhost all all 192.0.2.0/24 scram-sha-256\n")
    kept = {path: path.read_text() for path in (conf, hba)}
    joined = h2.standfast("join", "--replace", "--token-file", token, timeout=180, **AS_OWNER).expect(0)
    assert "max_connections = '100': it was 10 here" in joined.out
    assert {path: path.read_text() for path in (conf, hba)} == kept
    data = h2.home / "15" / "main"
    shown = {name: h2.psql(f"SHOW {name}", data=data)
             for name in ("port", "work_mem", "max_connections", "max_wal_senders", "max_locks_per_transaction")}
    assert shown == {"port": "5499", "work_mem": "7MB", "max_connections": "100", "max_wal_senders": "10",
                     "max_locks_per_transaction": "999"}
    assert lsclusters(h2) == [("main", "5499", "online,recovery")]
    # A line of postgresql.auto.conf that was not needed would stay when the primary's value is lowered.
    assert "max_locks_per_transaction" not in (data / "postgresql.auto.conf").read_text()


def test_interrupted_join_takes_back_the_name_it_made(debian_primary):
    _, h2, token = debian_primary
    running = h2.start(h2.standfast_command("join", "--token-file", token, "-r", "1M"), env=AS_OWNER["env"])
    versions = h2.home / "15"
    wait_until(lambda: etc(h2).exists() and versions.exists() and not (versions / "main").exists()
               and list(versions.glob("main.standfast*/base")), 120, "the copy to be on its way")
    assert lsclusters(h2)[0][0] == "main"
    running.signal(signal.SIGINT)
    assert running.wait().code == 4
    assert lsclusters(h2) == [] and not etc(h2).exists() and not versions.exists()
    # One that was there before stays.
    make_cluster(h2)
    h2.run(["rm", "-r", MAIN]).expect(0)
    running = h2.start(h2.standfast_command("join", "--token-file", token, "-r", "1M"), env=AS_OWNER["env"])
    wait_until(lambda: list(versions.glob("main.standfast*/base")), 120, "the copy to be on its way")
    running.signal(signal.SIGINT)
    assert running.wait().code == 4
    assert [path.name for path in etc(h2).parent.iterdir()] == ["main"] and not list(versions.iterdir())


def test_killed_join_is_finished_by_the_next(debian_primary):
    """Killed while pg_createcluster works, right after it, and in the copy."""
    h1, h2, token = debian_primary
    killed = 0
    for marker_seconds in (0.0, 0.4, 1.2, 2.5):
        running = h2.start(h2.standfast_command("join", "--token-file", token, "-r", "8M"), env=AS_OWNER["env"])
        started = lambda: (h2.home / "15").exists() or not running.alive
        wait_until(started, 60, "the cluster to be begun")
        try:
            wait_until(lambda: not running.alive, marker_seconds, "")
        except AssertionError:
            running.signal(signal.SIGKILL)
        killed += running.wait().code == -signal.SIGKILL
    assert killed >= 3
    h2.standfast("join", "--token-file", token, timeout=180, **AS_OWNER).expect(0)
    assert lsclusters(h2) == [("main", "5432", "online,recovery")]
    assert sorted(path.name for path in (h2.home / "15").iterdir()) == ["main"]
    h2.standfast("verify", **AS_OWNER).expect(0)


def test_user_whom_debian_does_not_let_is_told_how(debian_primary):
    _, h2, token = debian_primary
    shutil.chown(h2.folder / "etc", "root", "root")
    refused = h2.standfast("join", "--token-file", token, **AS_OWNER)
    refused.expect_error(5, "pg_createcluster failed", "hint: ", "as root: /usr/bin/pg_createcluster")
    assert not (h2.home / "15").exists() and not list((h2.folder / "etc").iterdir())


def test_copy_of_a_cluster_that_its_group_may_read_stays_so(pair):
    h1, h2 = pair
    Cluster(h1, DEBIAN).init("-g").configure(listen_addresses="'*'").start()
    steps.set_up_primary(h1, h2)
    steps.join(h2, steps.carry_token(h1, h2)).expect(0)
    modes = {path.name: path.stat().st_mode & 0o777 for path in h2.data.glob("*.conf")}
    assert modes["postgresql.auto.conf"] == 0o640 == modes["postgresql.conf"]


# ---------------------------------------------------------------- which cluster


def test_cluster_is_chosen_by_port_directory_or_configuration(network):
    host = network.host("h1", "10.20.20.1")
    make_cluster(host, "main", "-p", "5432", start=True)
    make_cluster(host, "second", "-p", "5433", start=True)
    Cluster(host, DEBIAN, port=5434).init().start()

    several = host.standfast("primary", "setup", "--dry-run", "--standby", "10.20.20.2", **AS_OWNER)
    several.expect_error(USAGE, "this host has 3 PostgreSQL clusters", f"-D {MAIN}  (15/main, PostgreSQL 15, port 5432, "
                         "running)", f"-D {host.data}  (PostgreSQL 15, port 5434, running)")
    none = host.standfast("standby", "stop", "-p", "5999", **AS_OWNER)
    none.expect_error(USAGE, "no PostgreSQL cluster of this host has port 5999", "5433")
    both = host.standfast("standby", "stop", "-p", "5433", "-D", MAIN, **AS_OWNER)
    both.expect_error(USAGE, "-D and -p")

    def planned(*options, env=None):
        done = host.standfast("primary", "setup", "--dry-run", "--standby", "10.20.20.2", "--output", "json", *options,
                              env={"STANDFAST_HOME": None, **(env or {})})
        return done.expect(0).json()["port"]

    assert planned("-p", "5433") == 5433 and planned("-p", "5434") == 5434
    assert planned(env={"PGDATA": MAIN}) == 5432
    assert planned("-D", "/var/lib/postgresql/15/second", env={"PGDATA": MAIN}) == 5433
    assert planned("-p", "5434", env={"PGDATA": MAIN}) == 5434
    assert planned("-D", "/etc/postgresql/15/second") == 5433
    said = host.standfast("primary", "setup", "--dry-run", "--standby", "10.20.20.2", "-D", "/etc/postgresql/15/main",
                          **AS_ROOT).expect(0)
    assert f'"/etc/postgresql/15/main" holds the configuration; the data directory is "{MAIN}"' in said.out


def test_debian_cluster_with_its_data_directory_in_an_include(pair):
    """Found from nothing, and known as Debian's: what changes is its file in /etc, and pg_ctlcluster restarts it."""
    h1, h2 = pair
    make_cluster(h1)
    conf = etc(h1) / "postgresql.conf"
    lines = conf.read_text().splitlines(keepends=True)
    moved = [line for line in lines if line.startswith(("data_directory", "hba_file", "port", "listen_addresses"))]
    conf.write_text("".join(line for line in lines if line not in moved) + "include_if_exists 'more/none.conf'\n"
                    "include 'more/where.conf'\n")
    h1.run(["mkdir", etc(h1) / "more"]).expect(0)
    h1.write(etc(h1) / "more" / "where.conf", "include_dir 'parts'\n", mode=0o644)
    h1.run(["mkdir", etc(h1) / "more" / "parts"]).expect(0)
    h1.write(etc(h1) / "more" / "parts" / "10.conf", "".join(moved), mode=0o644)
    h1.run(["pg_ctlcluster", "15", "main", "start"]).expect(0)
    setup = h1.standfast("primary", "setup", "--standby", h2.address, "--restart", timeout=180, **AS_OWNER).expect(0)
    assert "found PostgreSQL 15 (Debian's 15/main)" in setup.out
    assert "BEGIN standfast" in (etc(h1) / "pg_hba.conf").read_text()
    joined = h2.standfast("join", "--token-file", carry_token(h1, h2), timeout=180, **AS_OWNER).expect(0)
    assert "started with: pg_ctlcluster 15 main start" in joined.out


def test_host_without_a_cluster_says_where_was_looked(network):
    host = network.host("h1", "10.20.20.1")
    host.standfast("primary", "setup", "--standby", "10.20.20.2").expect_error(
        USAGE, "no PostgreSQL cluster was found on this host", "hint: ", "/etc/postgresql", "/var/lib/pgsql")


# ---------------------------------------------------------------- PGDG, with systemd recorded

PGDG = "/var/lib/pgsql/15/data"
UNIT = "postgresql-15.service"


def pgdg_cluster(host, **unit):
    """As the package and its setup script leave it: a unit, and a cluster where the unit says."""
    systemd = Systemd(host)
    data = pgdg_folder(host) / "15" / "data"
    systemd.unit("postgresql-15", data=PGDG, **unit)
    host.run(["mkdir", "-p", "/var/lib/pgsql/15"]).expect(0)
    return systemd, data


def test_pgdg_servers_are_run_by_their_unit(pair):
    h1, h2 = pair
    systemd, data = pgdg_cluster(h1)
    Cluster(h1, DEBIAN, data=data).init()
    h1.run(["systemctl", "start", UNIT], user="root").expect(0)
    systemd.calls()

    # Its owner may not restart it, which is found out before anything changes.
    before = (data / "postgresql.auto.conf").read_text(), (data / "pg_hba.conf").read_text()
    refused = h1.standfast("primary", "setup", "--standby", h2.address, "--restart", **AS_OWNER)
    refused.expect_error(5, f"run by {UNIT}, which only root controls", f"systemctl restart {UNIT}")
    assert ((data / "postgresql.auto.conf").read_text(), (data / "pg_hba.conf").read_text()) == before
    assert systemd.calls() == [] and not list(h1.secrets.rglob("*.token"))

    setup = h1.standfast("primary", "setup", "--standby", h2.address, "--restart", timeout=180, **AS_ROOT).expect(0)
    assert f"found PostgreSQL 15 ({UNIT}) in {PGDG}, port 5432, running" in setup.out
    assert systemd.calls() == [("restart", UNIT, 0)]

    # A unit that is not enabled, and that gives a recovery too little time.
    systemd2, standby = pgdg_cluster(h2, enabled=False, timeout=300)
    joined = h2.standfast("join", "-D", PGDG, "--token-file", carry_token(h1, h2), timeout=180, **AS_ROOT).expect(0)
    assert f"started with: systemctl start {UNIT}" in joined.out
    assert f"{UNIT} is not enabled: the server will not be back after a reboot" in joined.err
    assert f"As root: systemctl enable {UNIT}" in joined.err
    assert "TimeoutStartSec" in joined.err
    assert systemd2.calls() == [("start", UNIT, 0)]
    assert h2.psql("SELECT status FROM pg_stat_wal_receiver", data=standby) == "streaming"
    h2.standfast("standby", "stop", **AS_ROOT).expect(0)
    h2.standfast("standby", "start", **AS_ROOT).expect(0)
    assert systemd2.calls() == [("stop", UNIT, 0), ("start", UNIT, 0)]
    h2.standfast("verify", **AS_ROOT).expect(0)


_SLOW_RESTART = '''    if action == "restart":
        run("/usr/lib/postgresql/15/bin/pg_ctl", "-D", data, "-w", "-m", "fast", "stop")
        (FOLDER / "held").touch()
        while not (FOLDER / "go").exists():
            __import__("time").sleep(0.05)
        action = "start"
'''


def test_interrupted_restart_is_waited_for_before_the_server_is_started_again(pair):
    """The late answer to the restart is not taken for that to the start."""
    h1, h2 = pair
    systemd, data = pgdg_cluster(h1)
    program = h1.folder / "systemctl"
    program.write_text(program.read_text().replace("    log = [] if", _SLOW_RESTART + "    log = [] if"))
    recorded = h1.folder / "places" / "run-systemd" / "recorded"
    Cluster(h1, DEBIAN, data=data).init()
    h1.run(["systemctl", "start", UNIT], user="root").expect(0)
    systemd.calls()
    running = h1.start(h1.standfast_command("primary", "setup", "--standby", h2.address, "--restart"), **AS_ROOT)
    wait_until((recorded / "held").exists, 60, "the server is stopped for its restart")
    running.signal(signal.SIGINT)
    wait_until(lambda: steps.request_to_root_waits(h1), 60, "the start waits for the restart")
    (recorded / "go").touch()
    interrupted = running.wait()
    interrupted.expect_error(4, "The server runs again with the settings it had")
    assert systemd.calls() == [("restart", UNIT, 0), ("start", UNIT, 0)]
    assert h1.psql("SHOW listen_addresses", data=data) == "localhost"


def test_start_that_systemd_cut_short_says_so(pair):
    h1, h2 = pair
    steps.set_up_primary(h1, h2)
    systemd, _ = pgdg_cluster(h2, timeout=1)
    token = carry_token(h1, h2)
    failed = h2.standfast("join", "-D", PGDG, "--token-file", token, timeout=180, **AS_ROOT)
    failed.expect_error(19, f"{UNIT} did not start within its TimeoutStartSec", "TimeoutStartSec=infinity")
    assert systemd.calls() == [("start", UNIT, 0)]
    systemd.unit("postgresql-15", data=PGDG)
    h2.standfast("join", "-D", PGDG, "--token-file", token, timeout=180, **AS_ROOT).expect(0)


def test_debians_umbrella_unit_runs_no_server(pair):
    """What is started is the cluster's own unit; the umbrella only says whether it is back after a reboot."""
    h1, h2 = pair
    systemd = Systemd(h1)
    systemd.unit("postgresql", kind="oneshot", enabled=False)
    systemd.unit("postgresql@", kind="forking")
    make_cluster(h1)
    h1.run(["systemctl", "start", "postgresql"], user="root").expect(0)
    h1.run(["systemctl", "start", "postgresql@15-main"], user="root").expect(0)
    systemd.calls()
    setup = h1.standfast("primary", "setup", "--standby", h2.address, "--restart", timeout=180, **AS_ROOT).expect(0)
    assert "restarted in" in setup.out
    assert systemd.calls() == [("restart", "postgresql@15-main.service", 0)]

    systemd = Systemd(h2)
    systemd.unit("postgresql", kind="oneshot", enabled=False)
    systemd.unit("postgresql@", kind="forking", enabled=False)
    joined = h2.standfast("join", "--token-file", carry_token(h1, h2), timeout=180, **AS_ROOT).expect(0)
    assert systemd.calls() == [("start", "postgresql@15-main.service", 0)]
    assert "postgresql.service is not enabled: the server will not be back after a reboot" in joined.err
    h2.standfast("standby", "stop", **AS_ROOT).expect(0)
    start_conf = etc(h2) / "start.conf"
    start_conf.write_text(start_conf.read_text().replace("\nauto", "\nmanual"))
    started = h2.standfast("standby", "start", **AS_ROOT).expect(0)
    assert "start.conf of 15/main does not say auto" in started.err
