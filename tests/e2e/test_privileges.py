"""Who runs it: the owner of the data directory, or root by way of the owner, and nobody else."""

import os
import pwd
import threading
from pathlib import Path

import pytest

from harness import steps, sweep, tokens
from harness.binaries import DEBIAN
from harness.cluster import Cluster
from harness.state import assert_unchanged, state_of

POSTGRES = pwd.getpwnam("postgres")
PERMISSION = 5
TOKEN = tokens.encode({"v": 1, "h": "10.20.20.1", "p": 5432, "u": "replicator", "w": "hush-hush-of-replicator",
                       "s": "pgstandby1", "i": "7000000000000000001", "mu": "standfast_monitor",
                       "mw": "hush-hush-of-monitor", "md": "standfast"})


@pytest.fixture(scope="module")
def h1(shared_network):
    host = shared_network.host("h1", "10.20.20.1")
    Cluster(host, DEBIAN).init().configure(listen_addresses="'*'").start()
    return host


COMMANDS = [["primary", "setup", "--standby", "10.20.20.2"], ["standby", "stop"], ["standby", "promote"], ["status"],
            ["verify"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_another_user_is_refused(h1, command):
    before = state_of(h1)
    refused = h1.standfast(*command, "-D", h1.data, user="nobody", env={"STANDFAST_HOME": None})
    refused.expect_error(PERMISSION, "hint: ", "postgres")
    assert "nobody" in refused.err
    assert_unchanged(before, state_of(h1))


def test_another_user_does_not_join_over_a_data_directory(h1):
    before = state_of(h1)
    token = h1.write("token", TOKEN, user="nobody")
    refused = h1.standfast("join", "-D", h1.data, "--replace", "--stop", "--token-file", token, user="nobody",
                           env={"STANDFAST_HOME": None})
    refused.expect_error(PERMISSION, "hint: ", "postgres")
    assert_unchanged(before, state_of(h1))


def test_another_user_makes_no_cluster_where_he_may_not_write(network):
    host = network.host("h1", "10.20.20.1")
    refused = host.standfast("primary", "setup", "-D", host.data, "--init", "--standby", "10.20.20.2", user="nobody",
                             env={"STANDFAST_HOME": None})
    assert refused.code == PERMISSION and "hint: " in refused.err, refused
    assert not host.data.exists()


class Watch:
    """Every process of the program that is seen on a host: its user ids, and its capabilities."""

    def __init__(self, host):
        self._host, self.seen, self._stop = host, set(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.005):
            for pid in sweep.pids_in([self._host.namespace]):
                try:
                    if Path(f"/proc/{pid}/exe").readlink() != self._host.network.program:
                        continue
                    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
                    self.seen.add((tuple(map(int, lines["Uid"].split())), tuple(map(int, lines["Gid"].split())),
                                   tuple(sorted(map(int, lines["Groups"].split()))), int(lines["CapEff"], 16)))
                except OSError:
                    pass  # it has ended

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self.seen


def is_of(path, uid):
    try:
        return path.lstat().st_uid == uid
    except FileNotFoundError:
        return True  # the server that runs has removed it meanwhile


def test_root_works_through_the_owner(network):
    host, standby = network.host("h1", "10.20.20.1"), network.host("h2", "10.20.20.2")
    watch = Watch(host)
    setup = steps.set_up_primary(host, standby, user="root", env={"STANDFAST_HOME": None})
    host.psql("ALTER SYSTEM SET log_connections = on")
    host.psql("SELECT pg_reload_conf(), pg_sleep(0.2)")
    steps.set_up_primary(host, standby, "--rotate-password", user="root", env={"STANDFAST_HOME": None})
    seen = watch.stop()
    assert "standfast join" in setup.out

    # One is root's, and one is the owner's for good: no saved id, no group and no capability to come back by.
    groups = tuple(sorted({POSTGRES.pw_gid, *os.getgrouplist("postgres", POSTGRES.pw_gid)}))
    uid, gid = POSTGRES.pw_uid, POSTGRES.pw_gid
    assert ((uid,) * 4, (gid,) * 4, groups, 0) in seen, seen
    assert {ids[0][0] for ids in seen} == {0, uid}

    # What it made is the owner's, all of it.
    made = [*host.cluster_folder.rglob("*"), *host.home.rglob("*")]
    assert host.secrets in made and host.data in made
    assert not [path for path in made if not is_of(path, uid)]

    # And it was he who logged in: the server asked the kernel who is at the other end of its socket.
    log = "".join(path.read_text() for path in host.folder.rglob("*.log"))
    assert 'connection authenticated: identity="postgres" method=peer' in log
    assert 'identity="root"' not in log


def test_data_directory_of_root_is_refused(network):
    host = network.host("h1", "10.20.20.1")
    server = Cluster(host, DEBIAN).init()
    os.chown(server.data, 0, 0)
    for user in ("root", "postgres"):
        refused = host.standfast("primary", "setup", "-D", host.data, "--standby", "10.20.20.2", user=user)
        refused.expect_error(PERMISSION, "root", "hint: ")
    assert not host.secrets.exists() and not server.running


def test_folder_of_root_takes_no_new_cluster_and_the_hint_says_how(network):
    host = network.host("h1", "10.20.20.1")
    folder = host.folder / "of-root"
    folder.mkdir(mode=0o755)
    refused = host.standfast("primary", "setup", "-D", folder / "data", "--init", "--standby", "10.20.20.2", user="root",
                             env={"STANDFAST_HOME": None})
    refused.expect_error(PERMISSION, str(folder), "hint: ")
    assert not list(folder.iterdir())


def test_root_reads_a_token_that_only_root_may_read(network):
    host = network.host("h1", "10.20.20.1")
    token = host.write("token", TOKEN, user="root")
    host.standfast("join", "-D", host.data, "--token-file", token, user="root").expect_error(6, "refused")
    token.write_text("no token")
    host.standfast("join", "-D", host.data, "--token-file", token, user="root").expect_error(18, "not a token")
    host.standfast("join", "-D", host.data, "--token-file", token).expect_error(PERMISSION, str(token))


def test_root_does_not_take_a_cluster_for_what_a_process_says(network):
    """Anybody may run a program called postgres wherever he likes."""
    host = network.host("h1", "10.20.20.1")
    server = Cluster(host, DEBIAN).init().configure(listen_addresses="'*'").start()
    before = state_of(host)
    unnamed = ["primary", "setup", "--standby", "10.20.20.2", "--dry-run"]
    for port in ([], ["-p", "5432"]):
        refused = host.standfast(*unnamed, *port, user="root")
        refused.expect_error(2, "hint: ", f"-D {host.data}  (only a process tells of it)")
    assert f"found PostgreSQL 15 in {host.data}" in host.standfast(*unnamed).expect(0).out
    assert f"found PostgreSQL 15 in {host.data}" not in host.standfast("status", user="root").out
    named = host.standfast(*unnamed, "-D", host.data, user="root").expect(0)
    assert "what would be done" in named.out
    assert_unchanged(before, state_of(host))
    server.stop()


def test_process_of_somebody_else_does_not_come_in_the_way_of_debians_cluster(network):
    host = network.host("h1", "10.20.20.1")
    Cluster(host, DEBIAN).init().start()
    host.run(["pg_createcluster", "15", "main"]).expect(0)
    planned = host.standfast("primary", "setup", "--standby", "10.20.20.2", "--dry-run", user="root")
    assert "found PostgreSQL 15 (Debian's 15/main)" in planned.out
    assert f"a server seems to run in {host.data} as well; root takes that only with -D" in planned.out
    # The owner can do no harm that he could not do anyway, so he is asked which one.
    host.standfast("primary", "setup", "--standby", "10.20.20.2", "--dry-run").expect_error(2, f"-D {host.data} ")
