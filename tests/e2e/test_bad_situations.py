"""The table of bad situations, one line each: what is wrong, on which host, what is typed there, the exit code, what is
said, the way out that is named. After each line both servers and the bare host are compared with what they were: nothing
may have changed on any of them but what the line names. More of each kind is in the tests of the commands."""

import contextlib
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest

from harness import tokens
from harness.binaries import DEBIAN, npm
from harness.clones import tree
from harness.cluster import Cluster
from harness.state import assert_unchanged, files_of, state_of
from harness.steps import carry_token, join, set_up_primary, token_of, wait_for_active_slot
from harness.waiting import wait_until

USAGE, PERMISSION, CONNECT, AUTHENTICATION, VERSION, TARGET, PRECONDITION, IO = 2, 5, 6, 7, 8, 9, 10, 12
SLOT, CERTIFICATE, TOKEN, CONTROL, IN_USE = 15, 17, 18, 19, 20


class World:
    """h1, a primary; h2, its standby; h3, a host with nothing, whose address the primary admits."""

    def __init__(self, network):
        self.network = network
        self.h1, self.h2, self.h3 = (network.host(f"h{n}", f"10.20.20.{n}") for n in (1, 2, 3))
        set_up_primary(self.h1, self.h2, "--standby", self.h3.address)
        join(self.h2, carry_token(self.h1, self.h2)).expect(0)
        self.token_text = token_of(self.h1).with_name("pgstandby2.token").read_text()
        self.token = self.h3.write("token", self.token_text)

    def words(self):
        return {"h1": self.h1.data, "h2": self.h2.data, "h3": self.h3.data, "token": self.token,
                "beside": self.h3.cluster_folder, "folder": self.h3.folder}

    def state(self):
        state = {f"h1 {name}": value for name, value in state_of(self.h1).items()}
        runs = (self.h2.data / "postmaster.pid").exists()
        state.update((f"h2 {name}", value) for name, value in (state_of if runs else files_of)(self.h2).items())
        state.update((f"h3 {name}", value) for folder in (self.h3.cluster_folder, self.h3.folder / "tmp")
                     for name, value in tree(folder).items())
        state["h3 secrets"] = sorted(str(path) for path in self.h3.secrets.rglob("*") if path.is_file())
        return state


@pytest.fixture(scope="module")
def world(shared_network):
    return World(shared_network)


# ---------------------------------------------------------------- what makes a situation bad

nothing = contextlib.nullcontext


def on_host(host_of, command, undo):
    """A command of the shell, as root, and one that takes its work back."""
    @contextlib.contextmanager
    def arranged(world):
        host = host_of(world)
        host.run(["sh", "-ec", command.format(**world.words())], user="root").expect(0)
        yield
        host.run(["sh", "-ec", undo.format(**world.words())], user="root").expect(0)
    return arranged


def bare(command, undo="rm -rf {beside}/* /tmp/*"):
    return on_host(lambda world: world.h3, command, undo)


def sql(*statements, undo=()):
    """On the primary."""
    @contextlib.contextmanager
    def arranged(world):
        for statement in statements:
            world.h1.psql(statement)
        yield
        for statement in undo:
            world.h1.psql(statement)
    return arranged


def changed_token(**fields):
    @contextlib.contextmanager
    def arranged(world):
        world.token.write_text(tokens.changed(world.token_text, **fields))
        yield
        world.token.write_text(world.token_text)
    return arranged


@contextlib.contextmanager
def other_page_size(world):
    folder = world.h3.folder / "tmp" / "bin"
    folder.mkdir()
    for name in ("initdb", "pg_ctl"):
        (folder / name).symlink_to(DEBIAN.program(name))
    script = folder / "postgres"
    script.write_text('#!/bin/sh\ncase "$*" in *"-C block_size") echo 4096;; '
                      f'*) exec {DEBIAN.program("postgres")} "$@";; esac\n')
    script.chmod(0o755)
    yield
    shutil.rmtree(folder)


@contextlib.contextmanager
def port_taken(world):
    server = world.h3.start([sys.executable, "-m", "http.server", "--bind", "0.0.0.0", "5432"])
    wait_until(lambda: world.h3.run(["ss", "-Hltn", "sport = :5432"]).out, 60, "a server on port 5432")
    yield
    server.signal(15)
    server.wait()


@contextlib.contextmanager
def link_down(world):
    world.network.link_down(world.h3)
    yield
    world.network.link_up(world.h3)


@contextlib.contextmanager
def other_cluster(world):
    Cluster(world.h3, DEBIAN).init()
    yield
    shutil.rmtree(world.h3.data)


@contextlib.contextmanager
def other_cluster_running(world):
    server = Cluster(world.h3, DEBIAN).init().configure(port=5433).quiet().start()
    yield
    server.stop()
    shutil.rmtree(world.h3.data)
    (world.h3.cluster_folder / "data.log").unlink()


@contextlib.contextmanager
def small_disk(world):
    world.h3.tmpfs(world.h3.cluster_folder, 8)
    yield
    subprocess.run(["umount", str(world.h3.cluster_folder)], check=True)


@contextlib.contextmanager
def standby_stopped(world):
    world.h2.standfast("standby", "stop", "-D", world.h2.data).expect(0)
    yield
    world.h2.standfast("standby", "start", "-D", world.h2.data).expect(0)
    wait_for_active_slot(world.h1)


# ---------------------------------------------------------------- the table

@dataclass(frozen=True)
class Bad:
    what: str
    where: str
    command: str
    code: int
    message: str
    hint: str
    arrange: object = nothing
    user: str = "postgres"


JOIN = "join -D {h3} --token-file {token}"
CLONE = "standby clone -h 10.20.20.1 -U replicator -D {h3} -c fast -w"
SETUP = "primary setup -D {h1} --standby 10.20.20.4"

TABLE = [
    # what is wrong                      where  what is typed                            code  message                hint
    Bad("no such command",               "h3", "primary set-up", USAGE,                        "primary", "primary setup"),
    Bad("no such option",                "h3", JOIN + " --replase", USAGE,                     "--replase", "--help"),
    Bad("no data directory named",       "h3", "standby clone -h 10.20.20.1", USAGE,           "-D", ""),
    Bad("no cluster on the host",        "h3", "standby start", USAGE,                         "no PostgreSQL cluster was found", "/etc/postgresql"),
    Bad("no cluster with that port",     "h2", "standby stop -p 5999", USAGE,                  "5999", "-D"),
    Bad("a directory and a port",        "h2", "standby stop -D {h2} -p 5432", USAGE,          "-D and -p", ""),
    Bad("no name of Debian's",           "h3", "join --cluster main --token-file {token}", USAGE, "main", "15/main"),
    Bad("Debian's name, another major",  "h3", "join --cluster 14/main --token-file {token}", VERSION, "14/main", "15/main"),
    Bad("a wait that is no time",        "h2", "verify -D {h2} --timeout soon", USAGE,         "soon", ""),
    Bad("a limit that is none",          "h1", "status -D {h1} --max-lag much", USAGE,         "much", ""),
    Bad("a host name for a standby",     "h1", "primary setup -D {h1} --standby db2.example", USAGE, "db2.example", "address"),
    Bad("no address for a standby",      "h1", "primary setup -D {h1} --standby 10.20.20.300", USAGE, "10.20.20.300", "IPv4"),
    Bad("the user is another one",       "h1", SETUP, PERMISSION,                              "nobody", "postgres", user="nobody"),
    Bad("the standby's user is another", "h2", "standby stop -D {h2}", PERMISSION,             "nobody", "postgres", user="nobody"),
    Bad("no such directory",             "h3", "standby start -D {h3}", PRECONDITION,          "{h3}", "-D"),
    Bad("a directory, but of no cluster", "h3", "standby start -D {h3}", PRECONDITION,         "{h3}", "", bare("mkdir -m 700 {h3}; chown postgres {h3}")),
    Bad("start of a primary as standby", "h1", "standby start -D {h1}", PRECONDITION,          "{h1}", "primary"),
    Bad("stop of a primary as standby",  "h1", "standby stop -D {h1}", PRECONDITION,           "{h1}", ""),
    Bad("promotion of a primary",        "h1", "standby promote -D {h1}", PRECONDITION,        "{h1}", ""),
    Bad("promotion beside the primary",  "h2", "standby promote -D {h2}", PRECONDITION,        "still runs", "--yes"),
    Bad("status of a server that admits nobody", "h3", "status -h 10.20.20.1 -U postgres", AUTHENTICATION, "pg_hba.conf", "--standby"),
    Bad("promotion of a stopped standby", "h2", "standby promote -D {h2}", PRECONDITION,       "not running", "", standby_stopped),
    Bad("verify of a stopped standby",   "h2", "verify -D {h2}", 34,                           "not running", "standby start", standby_stopped),
    Bad("nobody listens",                "h3", CLONE + " -p 54321", CONNECT,                   "54321", ""),
    Bad("the network is down",           "h3", JOIN + " --timeout 5", CONNECT,                 "10.20.20.1", "", link_down),
    Bad("no password",                   "h3", CLONE, AUTHENTICATION,                          "password", ""),
    Bad("a role that is not admitted",   "h3", CLONE.replace("replicator", "someone"), AUTHENTICATION, "pg_hba.conf", ""),
    Bad("no token",                      "h3", "join -D {h3} --token-file /nowhere/token", IO, "/nowhere/token", ""),
    Bad("a token of another cluster",    "h3", JOIN, PRECONDITION,                             "system identifier", "token", changed_token(i="7000000000000000001")),
    Bad("another certificate",           "h3", JOIN, CERTIFICATE,                              "certificate", "", changed_token(f="0" * 64)),
    Bad("an old password",               "h3", JOIN, AUTHENTICATION,                           "password", "", changed_token(w="changed since")),
    Bad("a slot that is gone",           "h3", JOIN, SLOT,                                     "nosuchslot", "primary setup", changed_token(s="nosuchslot")),
    Bad("the slot of the other standby", "h3", JOIN, SLOT,                                     "pgstandby1", "", changed_token(s="pgstandby1")),
    Bad("no such programs",              "h3", JOIN + " --pg-bin /nowhere", PRECONDITION,      "/nowhere", ""),
    Bad("programs of another major",     "h3", JOIN + f" --pg-bin {npm(14)}", VERSION,         "14", "--pg-bin"),
    Bad("programs with another page size", "h3", JOIN + " --pg-bin /tmp/bin", VERSION,         "page size of 8192", "--pg-bin", other_page_size),
    Bad("the port is taken",             "h3", JOIN, IN_USE,                                   "5432", "--port", port_taken),
    Bad("the target is a file",          "h3", JOIN, TARGET,                                   "{h3}", "", bare("touch {h3}; chown postgres {h3}")),
    Bad("the target is not empty",       "h3", JOIN, TARGET,                                   "{h3}", "", bare("mkdir -m 700 {h3}; echo mine > {h3}/notes; chown -R postgres {h3}")),
    Bad("files of someone else, --replace", "h3", JOIN + " --replace", TARGET,                 "{h3}", "", bare("mkdir -m 700 {h3}; echo mine > {h3}/notes; chown -R postgres {h3}")),
    Bad("the target is root's",          "h3", JOIN, PERMISSION,                               "{h3}", "", bare("mkdir -m 755 {h3}")),
    Bad("a cluster is there",            "h3", JOIN, TARGET,                                   "{h3}", "--replace", other_cluster),
    Bad("a cluster runs there",          "h3", JOIN + " --replace --port 5433", IN_USE,        "{h3}", "--stop", other_cluster_running),
    Bad("the primary itself is the target", "h1", "join -D {h1} --token-file {token} --replace --stop", TARGET, "{h1}", ""),
    Bad("no room",                       "h3", JOIN, 11,                                       "MiB", "disk", small_disk),
    Bad("WAL inside the target",         "h3", JOIN + " --waldir {h3}/wal", TARGET,            "{h3}/wal", "--waldir"),
    Bad("a slot in use by its name",     "h1", SETUP + " --slot pgstandby1", SLOT,             "pgstandby1", "another slot"),
    Bad("a role name that is reserved",  "h1", SETUP + " --replication-role pg_mine", USAGE,   "pg_mine", ""),
    Bad("the monitor may not log in",    "h1", SETUP, PRECONDITION,                            "standfast_monitor", "ALTER ROLE", sql("ALTER ROLE standfast_monitor NOLOGIN", undo=["ALTER ROLE standfast_monitor LOGIN"])),
    Bad("the password's time is over",   "h1", SETUP, PRECONDITION,                            "no longer valid", "VALID UNTIL", sql("ALTER ROLE replicator VALID UNTIL '2020-01-01'", undo=["ALTER ROLE replicator VALID UNTIL 'infinity'"])),
    Bad("pg_hba.conf is broken",         "h1", SETUP, PRECONDITION,                            "broken", "Correct", on_host(lambda world: world.h1, "echo 'host all' >> {h1}/pg_hba.conf", "sed -i '$d' {h1}/pg_hba.conf")),
    Bad("a primary of a standby",        "h2", "primary setup -D {h2} --standby 10.20.20.4", PRECONDITION, "standby", "primary"),
]


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.what.replace(" ", "-"))
def test_bad_situation_is_told_and_changes_nothing(world, bad):
    with bad.arrange(world):
        words, before = world.words(), world.state()
        host = getattr(world, bad.where)
        result = host.standfast(*(word.format(**words) for word in bad.command.split()), user=bad.user)
        result.expect_error(bad.code, bad.message.format(**words), "hint: ")
        hint = result.err.partition("hint: ")[2]
        assert bad.hint in hint, f"the hint lacks {bad.hint!r}:\n{result}"
        assert result.err.count("standfast: ") <= 1, f"more than one error:\n{result}"
        assert_unchanged(before, world.state())


def test_the_table_is_long_enough():
    assert len(TABLE) >= 40 and len({bad.what for bad in TABLE}) == len(TABLE)


def test_all_is_well_after_all_of_it(world):
    world.h1.standfast("status", "-D", world.h1.data).expect(0)
    world.h2.standfast("verify", "-D", world.h2.data).expect(0)
